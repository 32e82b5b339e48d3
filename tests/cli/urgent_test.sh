#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# urgent_test.sh TIDELINE: with the kernel as the other end, over TAP, both IP versions, an engine in the program and
# a front end: urgent data both ways (RFC 6093), deferred accept, and what ICMP says of datagrams (IP_RECVERR).
. "$(dirname "$0")/common.sh"
export XDG_RUNTIME_DIR=$directory
cd "$directory"
python=/usr/bin/python3

cat >peer.py <<'PYTHON'
import array, errno, fcntl, select, socket, struct, sys

SIOCATMARK, IP_RECVERR, IPV6_RECVERR = 0x8905, 11, 25
what, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET

def exactly(s, size):
    data = b""
    while len(data) < size:
        more = s.recv(size - len(data))
        assert more, ("only", data)
        data += more
    return data

def at_mark(s):
    answer = array.array("i", [0])
    fcntl.ioctl(s.fileno(), SIOCATMARK, answer)
    return answer[0]

def wait(s, events):
    poll = select.poll()
    poll.register(s, events)
    found = poll.poll(30000)
    assert found, "nothing has come"
    return found[0][1]

def give(s):  # urgent bytes, the second at the end of a long write
    s.sendall(b"abc")
    assert s.send(b"de", socket.MSG_OOB) == 2
    s.sendall(b"fgh")
    assert exactly(s, 4) == b"next"
    block = bytes(range(251)) * 100
    s.sendall(block)
    sent = 0
    while sent < len(block):
        sent += s.send(block[sent:], socket.MSG_OOB)
    s.sendall(b"end")

def take(s):
    assert wait(s, select.POLLPRI) & select.POLLPRI
    assert s.recv(1, socket.MSG_OOB) == b"e"
    assert not at_mark(s)
    assert exactly(s, 4) == b"abcd"
    assert at_mark(s)
    assert exactly(s, 3) == b"fgh"
    s.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    s.sendall(b"next")
    block = bytes(range(251)) * 200
    before = b""
    while len(before) < len(block) - 1:
        more = s.recv(len(block) + 3 - len(before))
        assert more
        before += more
        # No read goes past the mark, that stays ahead of what is read.
        assert len(before) <= len(block) - 1
    assert at_mark(s)
    assert before + exactly(s, 4) == block + b"end"

def reports(s, name, why, kind, code, offender):
    s.sendto(b"anybody?", (name, port))
    while not wait(s, 0) & select.POLLERR: pass
    data, control, flags, to = s.recvmsg(100, 512, socket.MSG_ERRQUEUE)
    assert data == b"anybody?" and flags & socket.MSG_ERRQUEUE and to[:2] == (name, port), (data, flags, to)
    (level, number, said), = control
    wanted = (socket.SOL_IP, IP_RECVERR) if family == socket.AF_INET else (socket.IPPROTO_IPV6, IPV6_RECVERR)
    assert (level, number) == wanted, (level, number)
    error = struct.unpack_from("=IBBBBII", said)
    origin = 2 if family == socket.AF_INET else 3
    assert error[:4] == (why, origin, kind, code), error
    raw = said[20:24] if family == socket.AF_INET else said[24:40]
    assert socket.inet_ntop(family, raw) == offender, raw
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0

if what == "serve":
    listener = socket.create_server((address, port), family=family)
    while True:
        s, _ = listener.accept()
        with s:
            role = exactly(s, 4)
            if role == b"take": take(s)
            if role == b"give": give(s)
            s.sendall(b"done")
elif what == "defer":
    listener = socket.create_server((address, port), family=family)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
    while True:
        s, _ = listener.accept()
        with s:
            assert s.recv(100, socket.MSG_DONTWAIT) == b"at once"
            s.sendall(b"done")
elif what == "late":
    with socket.create_connection((address, port), 10) as s:
        assert not select.select([s], [], [], 0.1)[0]
        s.sendall(b"at once")
        assert exactly(s, 4) == b"done"
elif what == "ask":
    for role in (b"take", b"give"):
        with socket.create_connection((address, port), 30) as s:
            s.settimeout(None)
            s.sendall(role)
            give(s) if role == b"take" else take(s)
            assert exactly(s, 4) == b"done"
elif what == "closed":
    own = sys.argv[4]
    gone = address.rsplit("." if family == socket.AF_INET else ":", 1)[0] + (".77" if family == socket.AF_INET else ":77")
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        if family == socket.AF_INET: s.setsockopt(socket.SOL_IP, IP_RECVERR, 1)
        else: s.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
        unreachable = 3 if family == socket.AF_INET else 1
        reports(s, address, errno.ECONNREFUSED, unreachable, 3 if family == socket.AF_INET else 4, address)
        reports(s, gone, errno.EHOSTUNREACH, unreachable, 1 if family == socket.AF_INET else 3, own)
PYTHON

tideline_options=(--wire "tap:tl0,peer=192.0.2.1/24,peer6=2001:db8::1/64" --ip 192.0.2.2/24 --ip6 2001:db8::2/64)
listens() { until ss -Hltn "sport = :$1" | grep -q .; do sleep 0.02; done; }
end_servers() {
  end_by TERM "${children[@]}"
  children=()
}
serve() {  # serve WORD... : until it listens
  "$@" >server.log 2>&1 &
  children+=($!)
}

# To itself, the kernel says what is expected.
for address in 127.0.0.1 ::1; do
  serve "$python" peer.py serve "$address" 7400
  listens 7400
  timeout 60 "$python" peer.py ask "$address" 7400 >client.log 2>&1 || fail "the kernel with itself at $address"
  end_servers
done

clients() {  # clients WHERE COMMAND...
  local where=$1 address any
  shift
  for address in 192.0.2.1 2001:db8::1; do
    [ "$address" = 192.0.2.1 ] && any=0.0.0.0 || any=::
    serve "$python" peer.py serve "$any" 7500
    serve "$python" peer.py defer "$any" 7501
    listens 7500
    listens 7501
    timeout 60 "$@" "$python" peer.py ask "$address" 7500 >client.log 2>&1 || fail "urgent data of ours, $where, $address"
    timeout 60 "$@" "$python" peer.py late "$address" 7501 >client.log 2>&1 || fail "a late client of ours, $where, $address"
    timeout 60 "$@" "$python" peer.py closed "$address" 7599 "${address%1}2" >client.log 2>&1 || fail "reports, $where, $address"
    end_servers
  done
  echo "clients of ours, $where"
}
servers() {  # servers WHERE COMMAND...
  local where=$1 address
  shift
  for address in 192.0.2.2 2001:db8::2; do
    for what in "serve ask" "defer late"; do
      serve "$@" "$python" peer.py "${what% *}" "$address" 7600
      until timeout 5 "$python" -c "import socket; socket.create_connection(('$address', 7600), 1).sendall(b'at once')" 2>probe.log; do
        kill -0 "${children[0]}" 2>/dev/null || fail "the server has ended"
        sleep 0.02
      done
      timeout 60 "$python" peer.py "${what#* }" "$address" 7600 >client.log 2>&1 || fail "$what at servers of ours, $where, $address"
      end_servers
    done
  done
  echo "servers of ours, $where"
}

"$tideline" up --name urgent "${tideline_options[@]}" >up.log 2>&1 || fail "tideline up"
at_front_end=("$tideline" run --placement frontend --name urgent --)
clients "a front end" "${at_front_end[@]}"
servers "a front end" "${at_front_end[@]}"
"$tideline" down --name urgent >down.log 2>&1 || fail "tideline down"
in_program=("$tideline" run "${tideline_options[@]}" --)
clients "the program" "${in_program[@]}"
servers "the program" "${in_program[@]}"
