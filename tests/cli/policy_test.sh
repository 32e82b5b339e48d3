#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# policy_test.sh TIDELINE: what the users of a front end may do, and what its stop and its death are for their programs.
# In a pid namespace, which ends what it has started, however the test ends.
if [ "$(id -u)" -eq 0 ] && [ -z "${TIDELINE_TEST_NAMESPACE:-}" ]; then
  export TIDELINE_TEST_NAMESPACE=1
  exec unshare --net --pid --mount-proc --kill-child --fork bash "$0" "$@"
fi
. "$(dirname "$0")/common.sh"
export XDG_RUNTIME_DIR=$directory
# Where other users can find it.
chmod 755 "$directory"
mkdir "$directory/bin" "$directory/lib"
cp "$tideline" "$(dirname "$tideline")/tidelined" "$directory/bin"
cp "$(dirname "$tideline")"/../lib/libtideline-*.so "$directory/lib"
tideline=$directory/bin/tideline
alice=1
bob=2

as() {  # as USER PROGRAM...: at the front end
  local user=$1
  shift
  timeout 60 setpriv --reuid="$user" --regid="$user" --clear-groups "$tideline" run --placement frontend --name shared -- "$@"
}
status() {  # status CODE: on `p`, the front end's host
  "$tideline" status --name shared --json --interval 0.02 >"$directory/status.json" || fail status
  python3 -c 'import json, sys
p, = json.load(open(sys.argv[1]))["processes"]
'"$1" "$directory/status.json" || fail "status: $1"
}
up() {
  "$tideline" up --config "$directory/shared.toml" >"$directory/up.log" 2>&1 || fail 'up'
  pid=$(grep -oE 'process [0-9]+' "$directory/up.log" | grep -oE '[0-9]+')
}

cat >"$directory/shared.toml" <<CONFIG
name = "shared"
user = "$((200000 + RANDOM))"
stop_seconds = 30
[[host]]
wire = "tap:tl0,peer=192.0.2.1/24,peer6=2001:db8::1/64"
ip = ["192.0.2.2/24", "192.0.2.3/24"]
ip6 = "2001:db8::2/64"
[[policy.user]]
user = $alice
addresses = ["192.0.2.2", "2001:db8::/64"]
ports = "8080-8090"
sockets = 8
processes = 2
CONFIG
up

# Alice: her addresses and ports, and no more sockets than she is allowed.
as $alice python3 - >"$directory/alice.log" 2>&1 <<'ALICE' || fail "alice"
import errno, socket
def bound(family, address, port):
    with socket.socket(family) as s:
        try:
            s.bind((address, port))
            return 0
        except OSError as e:
            return e.errno
v4, v6 = socket.AF_INET, socket.AF_INET6
assert bound(v4, "192.0.2.2", 8080) == 0 and bound(v6, "2001:db8::2", 8090) == 0
assert bound(v4, "192.0.2.2", 0) == 0
for family, address, port in ((v4, "192.0.2.2", 80), (v4, "192.0.2.2", 8091), (v6, "2001:db8::2", 8079), (v4, "192.0.2.3", 8080)):
    assert bound(family, address, port) == errno.EACCES, (address, port, bound(family, address, port))
held = []
try:
    for _ in range(9):
        s = socket.socket(v4)
        held.append(s)
        s.bind(("192.0.2.2", 0))
    assert False, "a ninth socket"
except OSError as e:
    assert len(held) == 9 and e.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM), e
ALICE

# Bob is refused, and told why; once a reload admits him, he is not.
try='import socket; socket.socket().bind(("192.0.2.2", 0))'
! as $bob python3 -c "$try" >"$directory/bob.log" 2>&1 || fail 'bob is admitted'
grep -q "the front end refuses: .*user $bob" "$directory/bob.log" || fail 'bob is not told why'
status 'assert p["clients"]["count"] == 0 and sum(p["clients"]["ended"].values()) >= 2, p'
printf '[[policy.user]]\nuser = %s\n' $bob >>"$directory/shared.toml"
kill -HUP "$pid"
tries=0
until as $bob python3 -c "$try" >"$directory/bob.log" 2>&1; do
  [ $((tries += 1)) -le 50 ] || fail 'the policy is not read again'
  sleep 0.1
done
echo 'addresses, ports and quotas of users; a reload'

# A program that has written more than fits into a peer's window when the front end is told to stop: all of it arrives. It
# itself, and one that only waits, learn at once that their front end has gone. $1: how it goes.
cat >"$directory/server.py" <<'SERVER'
import errno, select, socket, sys
listener = socket.create_server(("192.0.2.2", 8080))
print("listening", flush=True)
connection, _ = listener.accept()
print("accepted", flush=True)
if sys.argv[1] == "write":
    connection.setblocking(False)
    sent = 0
    # Its buffer grows while it is full, up to where the peer's window is what ends it.
    while sent < 262144 or select.select([], [connection], [], 1)[1]:
        try:
            sent += connection.send(bytes(65536))
        except BlockingIOError:
            select.select([], [connection], [])
    print("sent", sent, flush=True)
    connection.setblocking(True)
try:
    print("received", connection.recv(1), flush=True)
except OSError as e:
    print("error", errno.errorcode[e.errno], flush=True)
SERVER
serve() {  # serve MODE
  : >"$directory/server.log"
  as $bob python3 "$directory/server.py" "$1" >"$directory/server.log" 2>&1 &
  server=$!
  children+=("$server")
  says listening
}
says() {  # says WORDS
  local tries=0
  until grep -q "$1" "$directory/server.log"; do
    [ $((tries += 1)) -le 500 ] || fail "the server does not say '$1'"
    sleep 0.02
  done
}
serve write
python3 - "$directory" >"$directory/client.log" 2>&1 <<'CLIENT' &
import os, socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
s.connect(("192.0.2.2", 8080))
# Nothing is read until the front end has begun to stop.
while not os.path.exists(sys.argv[1] + "/stopping"): time.sleep(0.01)
received = 0
while part := s.recv(1 << 20): received += len(part)
print("received", received)
CLIENT
client=$!
children+=("$client")
says sent
status 'c, = p["clients"]["list"]; assert c["uid"] == '$bob' and c["sockets"] == 2 and c["memory"] > 0, c'
"$tideline" down --name shared >"$directory/down.log" 2>&1 &
down=$!
children+=("$down")
says 'error ECONNRESET'
kill -0 $down || fail 'the front end has not waited for what was to be sent'
touch "$directory/stopping"
wait $client || fail 'the client has not received all'
wait $down || fail 'down'
wait $server || fail 'the server'
sent=$(sed -n 's/^sent //p' "$directory/server.log")
[ "$sent" -ge 262144 ] && grep -qx "received $sent" "$directory/client.log" || fail "sent $sent, $(cat "$directory/client.log")"

up
serve wait
exec 8<>/dev/tcp/192.0.2.2/8080
says accepted
kill -KILL "$pid"
says 'error ECONNRESET'
wait $server || fail 'the server, after its front end was killed'
exec 8>&-
# One that was killed may still be going, and nobody asks for its status here.
tries=0
while pgrep -r D,R,S,T -x tidelined >/dev/null; do
  [ $((tries += 1)) -le 500 ] || fail 'a front end is left'
  sleep 0.02
done
echo 'a stop sends what was written; stops and deaths are told'
