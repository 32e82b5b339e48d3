# SPDX-License-Identifier: Apache-2.0
# For the tests of the command line: sourced with the path of `tideline` as $1. The test goes on in
# a network and a process namespace of its own, which end with it, as do its processes (daemons too, also
# when it is killed) and its directory.
set -euo pipefail

tideline=$(realpath "$1")
if [ "$(id -u)" -ne 0 ]; then
  echo "skipped: needs root, for a network namespace"
  exit 77
fi
if [ -z "${TIDELINE_TEST_NAMESPACE:-}" ]; then
  export TIDELINE_TEST_NAMESPACE=1
  exec unshare --net --pid --mount-proc --kill-child --fork bash "$0" "$@"
fi

directory=$(mktemp -d)
children=()
finish() {
  for child in "${children[@]}"; do
    kill "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
  done
  rm -rf "$directory"
}
trap finish EXIT
ip link set lo up

fail() {
  echo "FAILED: $*" >&2
  for log in "$directory"/*.log; do
    [ -e "$log" ] && { echo "--- $log"; cat "$log"; } >&2
  done
  exit 1
}

# The exit status of a command, and words that its output must contain; the output stays in out.log.
expect_of() {  # expect_of STATUS WORDS COMMAND...
  local status=0 wanted=$1 words=$2
  shift 2
  timeout 60 "$@" >"$directory/out.log" 2>&1 || status=$?
  [ $status -eq "$wanted" ] || fail "'$*': exit status $status, not $wanted"
  grep -q -- "$words" "$directory/out.log" || fail "'$*' does not say '$words'"
}
expect() {  # expect STATUS WORDS ARGUMENTS...: of `tideline ARGUMENTS...`
  local status=$1 words=$2
  shift 2
  expect_of "$status" "$words" "$tideline" "$@"
}

# Starts `tideline ARGUMENTS...` in the background and waits until it says that it is ready.
start() {  # start NAME ARGUMENTS...
  local log=$directory/$1.log
  shift
  : >"$log"
  "$tideline" "$@" >"$log" 2>&1 &
  last_child=$!
  children+=("$last_child")
  local tries=0
  until grep -q '^ready' "$log"; do
    kill -0 "$last_child" 2>/dev/null || fail "'$*' has ended"
    [ $((tries += 1)) -le 500 ] || fail "'$*' did not get ready in 10 seconds"
    sleep 0.02
  done
}

# SIGINT, and the exit status must be 0.
stop() {  # stop PID
  kill -INT "$1"
  wait "$1" || fail "exit status $? after SIGINT"
  children=()
}

# Sends a signal to children, which must end by it.
end_by() {  # end_by SIGNAL PID...
  local signal=$1 pid status
  shift
  for pid; do kill "-$signal" "$pid" || fail "process $pid has ended by itself"; done
  for pid; do
    status=0
    wait "$pid" 2>/dev/null || status=$?
    [ "$status" -eq $((128 + $(kill -l "$signal"))) ] || fail "process $pid ended with $status, not by $signal"
  done
}

complaints='_ws.malformed || ip.checksum.status == 0 || icmp.checksum.status == 0 ||
  icmpv6.checksum.status == 0 || udp.checksum.status == 0 || tcp.checksum.status == 0'
# A client's port, drawn at random, says nothing of what the connection carries (57000 would be IRC's).
check_sums=(-o ip.check_checksum:TRUE -o udp.check_checksum:TRUE -o tcp.check_checksum:TRUE -d tcp.port==32768-60999,data)

# No malformed packet and no bad checksum in any capture so far, and a good ICMP message in each. All in
# one go: tshark takes a second to start.
check_captures() {
  local all=$directory/all.pcapng captures=("$directory"/*.pcap) bad good
  mergecap -a -I none -w "$all" "${captures[@]}" || fail "mergecap"
  bad=$(tshark -n -r "$all" "${check_sums[@]}" -Y "$complaints" 2>"$directory/tshark.log") ||
    fail "tshark"
  [ -z "$bad" ] || fail "tshark finds: $bad"
  good=$(tshark -n -r "$all" -Y 'icmp.checksum.status == 1 || icmpv6.checksum.status == 1' \
    -T fields -e frame.interface_id 2>/dev/null | sort -u | wc -l)
  [ "$good" -eq ${#captures[@]} ] || fail "good ICMP messages in $good of ${#captures[@]} captures"
}

# The same of one capture, with at least one good packet of the protocol.
check_capture() {  # check_capture FILE [icmp|tcp]
  local bad good='icmp.checksum.status == 1 || icmpv6.checksum.status == 1'
  [ "${2:-icmp}" = icmp ] || good="$2.checksum.status == 1"
  bad=$(tshark -n -r "$1" "${check_sums[@]}" -Y "$complaints" 2>"$directory/tshark.log") ||
    fail "tshark"
  [ -z "$bad" ] || fail "tshark finds in $1: $bad"
  [ "$(tshark -n -r "$1" "${check_sums[@]}" -Y "$good" 2>/dev/null | wc -l)" -gt 0 ] ||
    fail "nothing good in $1"
}
