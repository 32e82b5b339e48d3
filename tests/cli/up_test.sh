#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# up_test.sh TIDELINE TIDELINED EXAMPLE: `tideline up`, `down` and `status`: front ends over TAP and shm, by name, with
# dropped privileges, killed, misconfigured. In a pid namespace, which ends what it has started, however the test ends.
if [ "$(id -u)" -eq 0 ] && [ -z "${TIDELINE_TEST_NAMESPACE:-}" ]; then
  export TIDELINE_TEST_NAMESPACE=1
  exec unshare --net --pid --mount-proc --kill-child --fork bash "$0" "$@"
fi
. "$(dirname "$0")/common.sh"
tidelined=$(realpath "$2")
example=$(realpath "$3")
export XDG_RUNTIME_DIR=$directory
place=$directory/tideline/.frontend
user=$((200000 + RANDOM))  # nobody else's
trap 'rm -rf "/tmp/tideline-$user"; finish' EXIT

json() {  # json FILE CODE: on `r`
  python3 -c 'import json, sys
r = json.load(open(sys.argv[1]))
assert r["schema"] == 1 and r["ok"], r
'"$2" "$1" || fail "$1: $2"
}
until_gone() {  # until_gone PID: with all its threads, be it reaped or not
  local tries=0
  until [ ! -e "/proc/$1" ] || [ "$(grep -cE '^State:.*Z|^Threads:.1$' "/proc/$1/status" 2>/dev/null)" = 2 ]; do
    [ $((tries += 1)) -le 500 ] || fail "process $1 does not end"
    sleep 0.02
  done
}
no_sockets() {
  [ -z "$(find "$directory" -name '*.sock')" ] || fail "left: $(find "$directory" -name '*.sock')"
}

ip link add tl1 type veth peer name tl2
sysctl -qw net.ipv6.conf.tl1.disable_ipv6=1 net.ipv6.conf.tl2.disable_ipv6=1
ip address add 198.18.9.1/24 dev tl1
ip link set tl1 up
ip link set tl2 up

# Three hosts, and a user to become.
cat >"$directory/two.toml" <<CONFIG
name = "two"
user = "$user"
log = "debug"
[[host]]
name = "lan"
wire = "tap:tl0,peer=192.0.2.1/24,peer6=2001:db8::1/64"
ip = "192.0.2.2/24"
ip6 = "2001:db8::2/64"
[[host]]
name = "lab"
wire = "shm:lab"
[[host]]
name = "express"
wire = "xdp:tl2"
ip = "198.18.9.2/24"
[policy]
[[policy.user]]
user = "$user"
sockets = 16
CONFIG
expect 3 "no front end 'two'" down --name two
cd "$directory"
expect 0 '"command": "up"' up --config two.toml --json
cd /
cp "$directory/out.log" "$directory/up.json"
json "$directory/up.json" '
assert r["name"] == "two" and [h["name"] for h in r["hosts"]] == ["express", "lab", "lan"], r
assert r["hosts"][2]["addresses"] == ["192.0.2.2/24", "2001:db8::2/64"], r
assert any(a.startswith("198.18.0.") for a in r["hosts"][1]["addresses"]), r'
pid=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["pid"])' "$directory/up.json")
lab=$(grep -oE '198\.18\.0\.[0-9]+' "$directory/up.json")

# What it has given up, in all its threads.
for status in /proc/"$pid"/task/*/status; do
  for line in "Uid:	$user	$user	$user	$user" "Gid:	$user	$user	$user	$user" 'NoNewPrivs:	1' \
    'CapInh:	0000000000000000' 'CapPrm:	0000000000000000' 'CapEff:	0000000000000000' \
    'CapBnd:	0000000000000000' 'CapAmb:	0000000000000000'; do
    grep -qx "$line" "$status" || fail "$status has no '$line': $(cat "$status")"
  done
  [ -z "$(sed -n 's/^Groups:[[:space:]]*//p' "$status")" ] || fail "$status: groups"
done
[ "$(readlink "/proc/$pid/cwd")" = / ] || fail 'its working directory'
[ -z "$(find "/proc/$pid/fd" -lname '/dev/pts*' -o -lname "$directory/out.log")" ] || fail 'it holds what was open'

# All answer: the kernel over TAP and AF_XDP, the user's programs on the segment.
ping -q -c 3 -i 0.01 192.0.2.2 >"$directory/ping.log" || fail 'IPv4 over TAP'
ping -q -c 3 -i 0.01 2001:db8::2 >"$directory/ping.log" || fail 'IPv6 over TAP'
ping -q -c 3 -i 0.01 198.18.9.2 >"$directory/ping.log" || fail 'AF_XDP'
exec 9<"$tideline"  # a user may lack the way to it
expect_of 0 '3 received' env -u XDG_RUNTIME_DIR setpriv --reuid="$user" --regid="$user" --clear-groups \
  /proc/self/fd/9 ping "$lab" -c 3 -i 0.01 --wire shm:lab

"$tideline" status --name two --json --interval 0.05 >"$directory/status.json" || fail status
json "$directory/status.json" '
lan = [p for p in r["processes"] if p["host"] == "lan"][0]
assert len(r["processes"]) == 3 and lan["front_end"] == "two" and lan["pid"] == '"$pid"', r
assert lan["program"] == "tidelined" and lan["frames"]["rx_frames"] >= 6 and not lan["busy"], lan
assert lan["passes"]["bytes"] > 0 and lan["tcp"]["count"] == 0, lan'
expect 0 "tidelined (process $pid), front end two, host lan on tap:tl0" status --name two --interval 0.05
expect 3 "no front end 'three'" status --name three
echo 'a front end of three hosts, without privileges'

# The same name again; another one beside it, on a segment of this user's.
expect 3 "a front end 'two' runs already (process $pid)" up --name two
expect_of 3 "a front end 'two' runs already (process $pid)" "$tidelined" --name two
kill -0 "$pid" || fail 'the first has gone'
expect 0 'ready: front end default (process' up --wire shm:other --ip 198.18.0.40/24 --placement frontend
expect 0 '3 received' ping 198.18.0.40 -c 3 -i 0.01 --wire shm:other
expect 0 'front end default, host default' status --interval 0.05
grep -q 'front end two, host lab' "$directory/out.log" || fail 'status shows one of two front ends'
# Another user is told whose it is, once the front end lets others in.
expect_of 3 "no front end 'two' of this user" env -u XDG_RUNTIME_DIR setpriv --reuid=1 --regid=1 --clear-groups \
  /proc/self/fd/9 down --name two

# SIGHUP: a policy that cannot be read changes nothing.
log=$place/two/log
says() {  # says WORDS
  local tries=0
  until grep -q -- "$1" "$log"; do
    [ $((tries += 1)) -le 500 ] || fail "the log does not say '$1': $(cat "$log")"
    sleep 0.02
  done
}
chmod 755 "$directory"
sed -i 's/sockets = 16/sockets = none/' "$directory/two.toml"
kill -HUP "$pid"
says 'two.toml:19: .*the policy stays as it was'
sed -i 's/sockets = none/sockets = 17/' "$directory/two.toml"
kill -HUP "$pid"
says 'policy read again'

# Killed: nothing keeps the name, and what is left is removed.
kill -KILL "$pid"
until_gone "$pid"
expect 3 "no front end 'two'" status --name two
expect 3 "no front end 'two'" down --name two
expect 0 'ready: front end two' up --config "$directory/two.toml"
[ "$(find "$place/two/.control" -name '*.sock' | wc -l)" -eq 3 ] || fail "$(ls "$place/two/.control")"
ping -q -c 1 192.0.2.2 >"$directory/ping.log" || fail 'after a restart'
second=$(grep -oE 'process [0-9]+' "$directory/out.log" | grep -oE '[0-9]+')
expect 0 'front end two (process' down --name two
until_gone "$second"
[ ! -e /sys/class/net/tl0 ] || fail 'its TAP is still there'
[ -z "$(ip -d link show tl2 | grep prog/xdp)" ] || fail 'its XDP program is still there'
# Directly under a supervisor, with the log on standard error, in journald's form.
expect 0 '"ok": true' down --json
no_sockets
python3 - "$tidelined" "$place" <<'SUPERVISOR' || fail 'under a supervisor'
import os, signal, socket, subprocess, sys
ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ear.bind(os.environ["XDG_RUNTIME_DIR"] + "/notify")
ear.settimeout(30)
child = subprocess.Popen([sys.argv[1], "--wire", "shm:other"], stderr=subprocess.PIPE, text=True,
                         env=os.environ | {"NOTIFY_SOCKET": ear.getsockname(), "JOURNAL_STREAM": "1:2"})
ready = ear.recv(4096).decode().split("\n")
assert "READY=1" in ready and f"MAINPID={child.pid}" in ready, ready
assert f"X_TIDELINE_PLACE={sys.argv[2]}/default" in ready, ready
child.send_signal(signal.SIGINT)
assert ear.recv(4096) == b"STOPPING=1"
log = child.communicate(timeout=30)[1].splitlines()
assert child.returncode == 0 and log and all(line.startswith("<") and line[2] == ">" for line in log), log
SUPERVISOR
expect 0 'ready' up --wire shm:other --duration 0.2
tries=0
while "$tideline" status --name default --interval 0.01 >/dev/null 2>&1; do
  [ $((tries += 1)) -le 500 ] || fail '--duration does not end it'
  sleep 0.02
done
no_sockets
echo 'names, restarts, reloads, supervisors'

# What is wrong is said where it stands, and nothing is left.
bad() {  # bad STATUS WORDS CONFIGURATION
  printf "$3" >"$directory/bad.toml"
  expect_of "$1" "$2" "$tideline" up --config "$directory/bad.toml"
}
bad 2 'bad.toml:2: there is no wire like .*tideline ports' '[[host]]\nwire = "carrier"\n'
bad 2 'bad.toml:3: .*adress.*it may have' '[[host]]\n\nadress = "192.0.2.1/24"\n'
bad 2 'bad.toml:1: ' 'host = [[['
bad 2 "no user 'no such user' to run as" 'user = "no such user"\n[[host]]\n'
bad 3 "host 'default' on xdp:nosuch: .*ip link" '[[host]]\nwire = "xdp:nosuch"\nip = "192.0.2.2/24"\n'
bad 3 '2001:db8::1 is used by' '[[host]]\nwire = "tap:tl0,peer6=2001:db8::1/64"\nip6 = "2001:db8::1/64"\n'
expect 2 'excludes' up --config "$directory/two.toml" --ip 192.0.2.2/24
expect 2 "cannot be the name" up --name ../x
expect 2 "cannot read the configuration" up --config "$directory/none.toml"
expect_of 0 '2 hosts, 2 rules' "$tidelined" --check --config "$example"
# Without capabilities.
status=0
setpriv --bounding-set -all --inh-caps -all "$tideline" up --wire tap:tl0 --ip 192.0.2.2/24 >"$directory/out.log" 2>&1 || status=$?
{ [ $status -eq 3 ] && grep -q 'CAP_NET_ADMIN' "$directory/out.log"; } || fail "without capabilities: exit status $status"
no_sockets
# One that was killed may still be going, and nobody asks for its status here.
tries=0
while pgrep -r D,R,S,T -x tidelined >/dev/null; do
  [ $((tries += 1)) -le 500 ] || fail 'a front end is left'
  sleep 0.02
done
echo 'errors say where and what'
