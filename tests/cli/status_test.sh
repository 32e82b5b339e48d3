#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# status_test.sh TIDELINE: `tideline status` of unmodified verbs programs while they work, of a TCP server, of a copy; and
# of programs that are gone, stopped, another user's.
. "$(dirname "$0")/common.sh"
command -v ib_write_bw >/dev/null || { echo "skipped: needs perftest"; exit 77; }
kind=shm
. "$(dirname "$0")/verbs_pair.sh"

# The processes of this test, as `check` sees them: whatever else runs on the machine is none of its business.
status() {  # status PID [OPTIONS...]
  timeout -s KILL 60 "$tideline" status "$@" --json --interval 0.3 >"$directory/status.json" 2>"$directory/status.log" ||
    fail "status $*: exit status $?"
}
check() {  # check WHAT CODE: on `p`, the only process of the last answer
  python3 -c 'import json, sys
r = json.load(open(sys.argv[1]))
assert r["schema"] == 1 and r["command"] == "status" and r["ok"], r
p, = r["processes"]
'"$2" "$directory/status.json" || fail "$1"
}

# The same of a process that is at work: a busy machine may let it do nothing for a while.
soon() {  # soon PID WHAT CODE
  local tries=0
  until status "$1" && (check "$2" "$3") 2>"$directory/soon.log"; do
    [ $((tries += 1)) -le 50 ] || fail "$2"
  done
}

# A program that writes without end, and its peer.
"$tideline" run "${left[@]}" -- ib_write_bw -x 1 -D 60 -s 65536 -p 20001 >"$directory/server.log" 2>&1 &
server=$!
children+=("$server")
tries=0
until ss -Hltn 'sport = :20001' | grep -q .; do
  kill -0 $server || fail "ib_write_bw has ended"
  [ $((tries += 1)) -le 1000 ] || fail "ib_write_bw does not listen"
  sleep 0.02
done
TIDELINE_DIRECT=0 "$tideline" run "${right[@]}" -- ib_write_bw -x 1 -D 60 -s 65536 -p 20001 localhost >"$directory/client.log" 2>&1 &
client=$!
children+=("$client")
tries=0
until timeout 20 "$tideline" status $client --json --interval 0.05 2>/dev/null | grep -q '"state": "RTS"'; do
  kill -0 $client || fail "ib_write_bw has ended"
  [ $((tries += 1)) -le 200 ] || fail "no queue pair gets ready"
done
soon $client 'the client of ib_write_bw' '
assert p["program"] == "ib_write_bw" and p["wire"] == "shm:verbs" and not p["busy"], p
assert any(a.startswith("198.18.0.") for a in p["addresses"]), p
r = p["rdma"]
assert r["pds"] >= 1 and r["cqs"] >= 1 and r["regions"] >= 1 and r["qp_count"] == 1, p
q, = r["qps"]
assert q["type"] == "RC" and q["state"] == "RTS" and q["peer"].startswith("198.18.0."), q
assert q["requests_per_s"] > 0 and q["request_bytes_per_s"] >= 65536 * 0.99 * q["requests_per_s"], q
assert q["retries_left"] == 7 and 0 <= q["unacked"] < 2**20, q
assert p["frames"]["tx_bytes_per_s"] > 0 and 0.2 < p["interval_s"] < 20, p'
soon $server 'the server of ib_write_bw' '
q, = p["rdma"]["qps"]
assert q["messages_per_s"] > 0 and q["message_bytes_per_s"] > 0 and q["requests"] == 0, q'
"$tideline" status $client --interval 0.05 >"$directory/text.log" || fail "status as text"
for words in "^ib_write_bw (process $client) on shm:verbs" 'QP 0x[0-9a-f]* RC RTS  peer 198.18.0' 'psn: sq ' 'requests [0-9]* ([0-9]*/s) [0-9.]* [kMG]B (.*B/s)'; do
  grep -q "$words" "$directory/text.log" || fail "the text does not say '$words': $(cat "$directory/text.log")"
done
echo "queue pairs of unmodified programs, with rates"

# Clients that say nothing, or something else, cost nothing.
socket=$(ls "$directory"/tideline/.control/$client-*.sock)
python3 - "$socket" <<'PYTHON' || fail 'silent clients and garbage'
import os, socket, sys
def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.settimeout(30)
    return s
silent = [connect() for _ in range(30)]
bad = connect()
bad.sendall(os.urandom(100000)[:1000])
assert b'"error"' in bad.recv(1000)
good = connect()
good.sendall(b'{"ask":"status"}\n')
answer = b""
while (part := good.recv(65536)): answer += part
assert b'"busy":false' in answer, answer
for s in silent: assert s.recv(1) == b""
PYTHON
[ "$(stat -c %a "$directory/tideline/.control")" = 700 ] || fail 'others can look into the directory'

# A killed program leaves its socket; whoever asks removes it. One that is asked for is told missing.
kill -KILL $client
status=0
wait $client || status=$?
[ $status -eq 137 ] || fail "ib_write_bw had ended with $status"
expect 3 "there is no process $client" status $client
[ ! -e "$socket" ] || fail 'the socket of a killed program is still there'
expect 3 'has no engine' status $$
expect 2 PID status nobody
# Its peer may have noticed, and ended with an error of its own.
! kill -0 $server 2>/dev/null || kill -KILL $server
! wait $server || fail "the server of ib_write_bw is content without its client"

# TCP, and a command that ends by itself removes its socket.
mkdir "$directory/files"
start echo echo --wire shm:verbs
echo=$last_child
start serve serve "$directory/files" --wire shm:verbs --impair rate=10Mbit
serve=$last_child
host=$(grep -oE '198\.18\.0\.[0-9]+' "$directory/serve.log" | head -1)
head -c 3000000 /dev/urandom >"$directory/files/file"
"$tideline" get "http://$host/file" -o "$directory/file" --wire shm:verbs >"$directory/get.log" 2>&1 &
get=$!
children+=("$get")
tries=0
until timeout 20 "$tideline" status $serve --json --interval 0.05 2>/dev/null | grep -q '"state": "ESTABLISHED"'; do
  [ $((tries += 1)) -le 200 ] || fail "no connection is shown"
done
status $serve
check 'a server of TCP' '
c = [c for c in p["tcp"]["connections"] if c["local"].endswith(":80")]
assert c and p["tcp"]["count"] >= 1 and c[0]["cwnd"] > 0 and c[0]["mss"] > 500, p
assert "rdma" not in p and p["program"] == "tideline", p'
status $echo
check 'a command without connections' 'assert p["tcp"]["connections"] == [] and not p["busy"], p'

# A program that is stopped does not answer, and holds up nobody.
kill -STOP $echo
timeout 30 "$tideline" status $echo --json --interval 0.05 >"$directory/status.json" || fail "status of a stopped program"
check 'a stopped program' 'assert "error" in p and p["pid"] == '$echo', p'
kill -CONT $echo

# Done, or interrupted; and what it has is what was served.
! kill -0 $get 2>/dev/null || kill -INT $get
status=0
wait $get || status=$?
case $status in
  0) cmp "$directory/file" "$directory/files/file" || fail "another file" ;;
  1|130) cmp -n "$(stat -c %s "$directory/file.part")" "$directory/file.part" "$directory/files/file" || fail "another part" ;;
  *) fail "get: exit status $status, see get.log" ;;
esac
kill -INT $serve $echo
wait $serve && wait $echo || fail "exit status after SIGINT"
children=()
[ -z "$(ls "$directory/tideline/.control")" ] || fail "sockets are left: $(ls "$directory/tideline/.control")"
echo "TCP connections; sockets go with their commands"

# Another user sees nothing, and is told why.
exec 9<"$tideline"  # a user may lack the way to it
other=(env -u XDG_RUNTIME_DIR setpriv --reuid=65534 --regid=65534 --clear-groups /proc/self/fd/9 status)
expect_of 0 'no program runs on tideline' "${other[@]}"
expect_of 3 "is root's, who alone may ask it" "${other[@]}" 1
