#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# spawn_test.sh TIDELINE SOCKET_CHECK: programs that start others with their sockets, at a front end: inetd's
# way, Python's subprocess, exec with a listener of both halves; what a thousand children leave behind.
. "$(dirname "$0")/common.sh"
kind=spawn
export XDG_RUNTIME_DIR=$directory  # a front end and a segment of this test's own
. "$(dirname "$0")/socket_programs.sh"

address4=192.0.2.1
address6=2001:db8::1
"$tideline" up --name servers --wire shm:spawn --ip 192.0.2.1/24 --ip6 2001:db8::1/64 >up.log 2>&1 || fail "tideline up"
"$tideline" up --name clients --wire shm:spawn --ip 192.0.2.2/24 --ip6 2001:db8::2/64 >up.log 2>&1 || fail "tideline up"
ours=(--placement frontend --name servers)
as_client=("$tideline" run --placement frontend --name clients --)

# What comes back is what was sent.
echoes() {  # echoes PORT
  local address
  for address in "$address4" "$address6"; do
    client nc -N "$address" "$1" <large | cmp - large || fail "$2 at $address"
  done
}

check_inetd() {
  serve 7300 socat TCP6-LISTEN:7300,ipv6only=0,reuseaddr,fork EXEC:cat,nofork
  echoes 7300 "socat EXEC"
  end
  serve 7301 socat TCP6-LISTEN:7301,ipv6only=0,reuseaddr,fork "SYSTEM:cat | cat,nofork"
  echoes 7301 "socat SYSTEM"
  end
  serve 7302 socat TCP6-LISTEN:7302,ipv6only=0,reuseaddr,fork EXEC:cat
  echoes 7302 "socat EXEC over a socketpair"
  end
  said "socat as inetd: programs and shells on connections, 20 MB there and back, IPv4 and IPv6"
}

check_python() {
  cat >start.py <<'PYTHON'
import os, socket, subprocess, sys

address, way = sys.argv[1:3]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
listener = socket.create_server((address, 0), family=family)
listener.set_inheritable(False)

def pair():
    near = socket.create_connection(listener.getsockname()[:2])
    far, _ = listener.accept()
    for each in near, far:
        each.set_inheritable(False)
    return near, far

def told(near, expected):
    got = b""
    while part := near.recv(100):
        got += part
    assert got == expected, got

def child(number):
    return [sys.executable, "-c", f"import socket; s = socket.socket(fileno={number}); s.sendall(b'child: ' + s.recv(100))"]

# pass_fds, and standard streams: by vfork and exec.
near, far = pair()
near.sendall(b"passed")
subprocess.run(child(far.fileno()), pass_fds=[far.fileno()], check=True)
far.close()
told(near, b"child: passed")

near, far = pair()
near.sendall(b"line\n")
near.shutdown(socket.SHUT_WR)
subprocess.run(["sh", "-c", "tr a-z A-Z"], stdin=far, stdout=far, check=True)
far.close()
told(near, b"LINE\n")

# Without closing what is open: by posix_spawn.
near, far = pair()
far.set_inheritable(True)
subprocess.run(["/bin/sh", "-c", "echo to a shell >&" + str(far.fileno())], close_fds=False, check=True, restore_signals=False)
far.close()
told(near, b"to a shell\n")

# With options of before.
near, far = pair()
far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
near.sendall(b"spawned")
got = os.posix_spawn(sys.executable, [sys.executable, "-c", "import socket; s = socket.socket(fileno=0); "
    "assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY); s.sendall(s.recv(100))"], os.environ,
    file_actions=[(os.POSIX_SPAWN_DUP2, far.fileno(), 0), (os.POSIX_SPAWN_CLOSE, far.fileno())])
assert os.waitpid(got, 0)[1] == 0
far.close()
told(near, b"spawned")

# A child that is killed, with the connection in its hands.
near, far = pair()
victim = subprocess.Popen(["sh", "-c", "echo ready; exec sleep 1000"], stdin=far, stdout=far)
far.close()
assert near.recv(100) == b"ready\n"
victim.kill()
assert victim.wait() < 0
told(near, b"")

# What a thousand leave behind.
if way == "many":
    daemon = int(sys.argv[3])
    near, far = pair()
    far.set_inheritable(True)
    def numbers():
        return len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{daemon}/fd"))
    def run(times):
        for _ in range(times):
            assert os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)[1] == 0
    # What has ended is seen to have, sooner or later.
    def settled(most):
        import time
        until = time.monotonic() + 20
        while (now := numbers())[1] > most[1] and time.monotonic() < until:
            time.sleep(0.02)
        return now
    run(10)
    before = numbers()
    run(1000)
    after = settled(before)
    assert after[0] <= before[0] and after[1] <= before[1], (before, after)
    near.sendall(b"still here")
    assert far.recv(100) == b"still here"
PYTHON
  local daemon
  daemon=$("$tideline" status --json | $python -c '
import json, sys
print(next(each["pid"] for each in json.load(sys.stdin)["processes"] if each.get("front_end") == "servers"))')
  timeout 60 "$tideline" run "${ours[@]}" -- $python start.py "$address6" few >start.log 2>&1 || fail "start.py over IPv6"
  timeout 200 "$tideline" run "${ours[@]}" -- $python start.py "$address4" many "$daemon" >start.log 2>&1 ||
    fail "start.py"
  # Nobody has a socket any more.
  local tries=0
  until "$tideline" status --json | $python -c '
import json, sys
each = next(each for each in json.load(sys.stdin)["processes"] if each.get("front_end") == "servers")
live = [c for c in each["tcp"]["connections"] if c["state"] not in ("TIME-WAIT", "CLOSED")]
sys.exit(each["clients"]["count"] != 0 or live != [])'; do
    [ $((tries += 1)) -le 200 ] || fail "something is left: $("$tideline" status)"
    sleep 0.05
  done
  said "Python's subprocess and posix_spawn; a child that is killed; 1000 children without a trace"
}

check_both_halves() {
  cat >both.py <<'PYTHON'
import os, socket, sys
if len(sys.argv) > 1:
    listener = socket.socket(fileno=9)
    while True:
        connection, _ = listener.accept()
        connection.sendall(b"after exec")
        connection.close()
listener = socket.create_server(("::", 7400), family=socket.AF_INET6, dualstack_ipv6=True)
os.dup2(listener.fileno(), 9, inheritable=True)
os.execv(sys.executable, [sys.executable, __file__, "serve"])
PYTHON
  serve 7400 $python both.py
  local address
  for address in "$address4" "$address6"; do
    [ "$(client nc -d "$address" 7400)" = "after exec" ] || fail "the listener after exec, at $address"
  done
  [ "$(nc -d 127.0.0.1 7400)" = "after exec" ] || fail "the kernel's half of the listener after exec"
  end
  said "a listener on any address keeps both halves past exec"
}

check_inetd
check_python
check_both_halves
