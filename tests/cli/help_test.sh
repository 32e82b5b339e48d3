#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# help_test.sh TIDELINE: what the command line says of itself: the overview, manual pages, completion. All of it is
# held against what --help says.
. "$(dirname "$0")/common.sh"
cd "$directory"

"$tideline" >overview || fail "without arguments: exit status $?"
commands=$("$tideline" completion bash | bash -c 'source /dev/stdin; _tideline_words ""' | tr ' ' '\n' | grep -v '^-')
[ "$(wc -l <<<"$commands")" -ge 19 ] || fail "commands: $commands"
for command in $commands; do
  grep -q "^  $command " overview || fail "the overview does not name '$command'"
  "$tideline" "$command" --help >"help-$command" || fail "$command --help"
done
[ "$("$tideline" --version)" != "$("$tideline" completion bash)" ] && "$tideline" --version | grep -qE '^tideline [0-9]' ||
  fail version

# Each command has a page without warnings, and each of its options is in it.
mkdir pages
"$tideline" man --write pages || fail "man --write: exit status $?"
"$tideline" man | cmp - pages/tideline.1 || fail 'the page of all'
[ "$(ls pages | wc -l)" -eq $(($(wc -l <<<"$commands") + 1)) ] || fail "pages: $(ls pages)"
export LC_ALL=C.UTF-8 MANWIDTH=120
for page in pages/*.1; do
  groff -man -ww -Tutf8 "$page" 2>groff.log | sed 's/\x1b\[[0-9;]*m//g; s/.\x08//g' >"$page.txt" || fail "$page: groff"
  [ ! -s groff.log ] || fail "$page: $(cat groff.log)"
done
for command in $commands; do
  grep -qE "^ *$command( |$)" pages/tideline.1.txt || fail "tideline(1) does not name '$command'"
  page=pages/tideline-$command.1
  "$tideline" man "$command" | cmp - "$page" || fail "man $command"
  for option in $(grep -oE '^  -[^ ]+' "help-$command" | tr ',' ' '); do
    grep -qE -- "(^| |,)$option( |,|$)" "$page.txt" || fail "the page of $command has no $option"
  done
  for argument in $(sed -n '/^Positionals:/,/^$/s/^  \([A-Z]\+\) .*/\1/p' "help-$command"); do
    grep -qE "^ +$argument( |$)" "$page.txt" || fail "the page of $command has no $argument"
  done
done
if command -v man >/dev/null; then
  man --warnings=w -l pages/tideline-run.1 2>man.log | grep -q 'unmodified\|libibverbs' || fail 'man -l'
  [ ! -s man.log ] || fail 'man -l complains'
fi
status=0
"$tideline" man nosuch >out.log 2>&1 || status=$?
[ $status -eq 2 ] || fail "man nosuch: exit status $status"
"$tideline" man --write "$directory/nosuch" >out.log 2>&1 && fail 'pages in no directory'
echo 'manual pages'

# bash: what it offers for a line, as readline asks.
"$tideline" completion bash >completion.bash
source completion.bash
offers() {  # offers LINE WORDS...: exactly these
  local line=$1 word=
  shift
  COMP_LINE=$line COMP_POINT=${#line}
  # As bash splits them: `:` and `=` are words of their own.
  local IFS=$' \t\n'
  read -ra COMP_WORDS <<<"$(sed 's/[:=]/ & /g' <<<"$line")"
  [[ $line != *' ' ]] || COMP_WORDS+=('')
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  set +eu
  _tideline
  set -eu
  local got wanted
  got=$(printf '%s\n' "${COMPREPLY[@]}" | sort)
  wanted=$(printf '%s\n' "$@" | sort)
  [ "$got" = "$wanted" ] || fail "'$line': offers $got, not $wanted"
}
mkdir -p files/inner
touch files/one.pcap 'files/two words' files/program
chmod +x files/program
offers 'tideline pi' ping
offers 'tideline co' compare completion copy
offers 'tideline --v' --version
offers 'tideline perf --mo' --mode
offers 'tideline perf --mode ' stream request connect
offers 'tideline perf --mode=re' request
offers 'tideline perf --listen --congestion b' bbr
offers 'tideline ping 192.0.2.1 --placement ' app frontend
offers 'tideline completion ' bash zsh fish
offers 'tideline man sta' status
offers 'tideline capture -w files/o' files/one.pcap
offers 'tideline get http://192.0.2.1/x -o files/t' 'files/two words'
offers 'tideline serve files/' files/inner
offers 'tideline copy --listen files/' files/inner
offers 'tideline copy files/one.pcap ' ''
offers 'tideline ping --wire t' tap:
offers 'tideline relay packet:lo x' xdp:
offers 'tideline relay packet:l' lo
offers 'tideline ping --wire xdp:' $(ls /sys/class/net)
offers 'tideline ping --count 3 --wi' --wire
offers 'tideline compare --placement app-x' app-xdp
offers 'tideline compare redis so' sockperf
offers 'tideline run -- ./files/p' ./files/program
offers 'tideline run --strict --wire shm:x -- cat files/o' files/one.pcap
[[ $(complete -p tideline) == *_tideline* ]] || fail 'bash does not know the function'
# Every option of every command.
for command in $commands; do
  offers "tideline $command --" $(grep -oE '^  -[^ ]+' "help-$command" | tr ',' '\n' | grep -o -- '--.*')
done
echo 'completion in bash'

if command -v zsh >/dev/null; then
  "$tideline" completion zsh >_tideline
  zsh -n _tideline || fail 'zsh does not take its script'
fi
if command -v fish >/dev/null; then
  "$tideline" completion fish >tideline.fish
  [ "$(HOME=$directory fish -c 'source tideline.fish; complete -C "tideline perf --mode s"' | cut -f1)" = stream ] ||
    fail 'completion in fish'
fi
echo 'the command line describes itself'
