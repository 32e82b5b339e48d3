#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# page_test.sh PAGE [PICTURES]: opens a page of `tideline compare` in headless Chromium, without a network, light and
# dark: no complaint of the browser's, all plots there, and a picture that is not of one colour. PICTURES is a prefix;
# without one they are thrown away.
set -euo pipefail
page=$(realpath "$1")
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
pictures=${2:-$directory/page}
[ "${pictures:0:1}" = / ] || pictures=$PWD/$pictures
export HOME=$directory

browse() {  # browse ARGUMENTS...
  timeout 120 unshare --net --kill-child --fork chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$directory/profile" \
    --enable-logging=stderr --window-size=1240,1500 "$@" "file://$page" 2>"$directory/log"
}
fail() { echo "FAILED: $*" >&2; cat "$directory/log" >&2; exit 1; }

browse --dump-dom >"$directory/dom" || fail 'the page cannot be opened'
drawn=$(grep -o '<svg' "$directory/dom" | wc -l)
[ "$drawn" -gt 0 ] && [ "$drawn" -eq "$(grep -o '<svg' "$page" | wc -l)" ] || fail "$drawn plots"
! grep -E 'CONSOLE|Not allowed to load|ERR_' "$directory/log" >&2 || fail 'the browser complains'
for mode in light dark; do
  preference=()
  [ $mode = light ] || preference=(--force-dark-mode --blink-settings=preferredColorScheme=0)
  browse "${preference[@]}" --screenshot="$pictures-$mode.png" >/dev/null || fail "no picture, $mode"
  # A picture of one colour is compressed to next to nothing.
  [ "$(stat -c %s "$pictures-$mode.png")" -gt 20000 ] || fail "an empty picture, $mode"
done
! cmp -s "$pictures-light.png" "$pictures-dark.png" || fail 'dark is as light'
echo "$drawn plots, light and dark"
