#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# bypass_test.sh TIDELINE: two unmodified programs of one front end, past its TCP and, when told so, through it: the
# same bytes arrive, and `status` tells which way they went.
. "$(dirname "$0")/common.sh"
export XDG_RUNTIME_DIR=$directory  # front ends and segments of this test's own
cd "$directory"

cat >both.py <<'PYTHON'
import hashlib, random, socket, sys, threading

data = random.Random(7).randbytes(30_000_000)

def serve(listener):
    for _ in range(2):
        connection, _ = listener.accept()
        got = hashlib.sha256()
        while part := connection.recv(1 << 20):
            got.update(part)
        connection.sendall(got.digest() + data[:1_000_000])
        connection.close()

if sys.argv[2] == "listen":
    listener = socket.create_server((sys.argv[1], 7200), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
    print("listening", flush=True)
    serve(listener)
else:
    connection = socket.create_connection((sys.argv[1], 7200))
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    answer = b""
    while part := connection.recv(1 << 20):
        answer += part
    assert answer == hashlib.sha256(data).digest() + data[:1_000_000], len(answer)
PYTHON

bypassed() { "$tideline" status --name "$1" --json | python3 -c '
import json, sys
print(json.load(sys.stdin)["processes"][0]["tcp"]["bypassed_bytes"])'; }

try() {  # try NAME OPTIONS...
  local name=$1
  "$tideline" up --name "$@" --wire "shm:$1" --ip 198.18.7.1/24 --ip6 2001:db8:7::1/64 >up.log 2>&1 || fail "tideline up"
  local run=("$tideline" run --placement frontend --name "$name" -- python3 both.py)
  for address in 198.18.7.1 2001:db8:7::1; do
    : >listen.log  # of the server before, which said the same
    "${run[@]}" $address listen >>listen.log 2>&1 &
    local server=$!
    children+=($server)
    for _ in $(seq 500); do grep -q listening listen.log && break; sleep 0.02; done
    for client in 1 2; do
      "${run[@]}" $address connect >connect.log 2>&1 || fail "$name: the client $client of $address"
    done
    wait $server || fail "$name: the server at $address"
  done
}
try past
[ "$(bypassed past)" -gt 100000000 ] || fail "only $(bypassed past) bytes went past TCP"
try through --no-local-bypass
[ "$(bypassed through)" -eq 0 ] || fail "$(bypassed through) bytes went past TCP"
for name in past through; do "$tideline" down --name $name >down.log 2>&1 || fail "tideline down --name $name"; done
echo "past TCP, and through it: the same bytes"
