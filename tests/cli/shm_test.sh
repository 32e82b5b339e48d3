#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shm_test.sh TIDELINE: hosts on a segment in shared memory, each in a network namespace of its own:
# the default wire, named ones, leases, a capture of what passes between others.
. "$(dirname "$0")/common.sh"
export XDG_RUNTIME_DIR=$directory  # segments of this test's own

has() {  # has LOG WORDS
  grep -q -- "$2" "$directory/$1.log" || fail "$1 does not say '$2'"
}

ask() {  # ask SIZE ADDRESS OPTIONS...: three echoes from another namespace, the JSON object checked
  local size=$1 address=$2
  shift 2
  unshare --net "$tideline" ping "$address" -c 3 -i 0.01 -s "$size" --json "$@" \
    >"$directory/ping.log" 2>&1 || fail "ping $address $*, $size bytes"
  python3 - "$directory/ping.log" "$size" <<'PYTHON' || fail "ping $address $*, $size bytes"
import json, sys
result = json.load(open(sys.argv[1]))
assert result["ok"] and result["command"] == "ping" and result["schema"] == 1, result
assert result["sent"] == result["received"] == 3 and result["lost"] == 0, result
assert result["differing"] == 0 and result["size_bytes"] == int(sys.argv[2]), result
assert 0 < result["min_ns"] <= result["p50_ns"] <= result["max_ns"], result
PYTHON
}

# The default wire, addresses leased.
start first echo
first=$last_child
has first '198.18.0.1 and 2001:db8:18::1 leased on shm:default'
for size in 0 65507; do ask $size 198.18.0.1; done
ask 65507 2001:db8:18::1
ask 9000 198.18.0.1 --mtu 9100

# The next has the next addresses. Whoever is killed frees them.
start second echo
second=$last_child
has second '198.18.0.2 and 2001:db8:18::2 leased'
end_by KILL "$first"
start third echo
third=$last_child
has third '198.18.0.1 and 2001:db8:18::1 leased'
ask 56 198.18.0.1

# A capture sees what passes between others, also what a newcomer sends first, and holds no address.
start capture capture -w "$directory/frames.pcap"
capture=$last_child
ask 1000 198.18.0.2
start fourth echo --ip 198.18.0.40/24 --ip6 2001:db8:18::40/64
has fourth '^ready.*198.18.0.40/24 2001:db8:18::40/64'
ask 56 198.18.0.40
kill -INT "$capture"
wait "$capture" || fail "capture: exit status $?"
requests=$(tshark -n -r "$directory/frames.pcap" -Y 'icmp.type == 8 && ip.dst == 198.18.0.2' \
  2>/dev/null | wc -l)
[ "$requests" -eq 3 ] || fail "capture saw $requests of 3 requests between others"

# Another name is another segment.
start other echo --wire shm:other
has other '198.18.0.1 and 2001:db8:18::1 leased on shm:other'
ask 56 198.18.0.1 --wire shm:other
status=0
"$tideline" echo --wire shm:no/good >"$directory/bad.log" 2>&1 || status=$?
[ $status -eq 2 ] || fail "a bad name: exit status $status"
has bad 'cannot be the name of a segment'

# SIGINT: nobody's socket is left behind.
for child in "$second" "$third" "${children[@]: -2}"; do
  kill -INT "$child"
  wait "$child" || fail "exit status $? after SIGINT"
done
children=()
has third 'frames received'
[ -z "$(find "$directory" -name '*.sock')" ] || fail "left: $(find "$directory" -name '*.sock')"
echo "segments, leases, capture and namespaces as they should be"
