#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fast_open_test.sh TIDELINE: data with the SYN (RFC 7413) between programs of tideline's and of the kernel's,
# over TAP: both ways, both IP versions, each way of asking, an engine in the program and a front end.
. "$(dirname "$0")/common.sh"
export XDG_RUNTIME_DIR=$directory
cd "$directory"
python=/usr/bin/python3
sysctl -q net.ipv4.tcp_fastopen=3 net.ipv4.tcp_fastopen_blackhole_timeout_sec=0

cat >peer.py <<'PYTHON'
import socket, struct, sys

TCP_FASTOPEN_CONNECT, MSG_FASTOPEN, TCPI_OPT_SYN_DATA = 30, 0x20000000, 32
what, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET

def syn_data(connection):
    return struct.unpack_from("8B", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192))[5] & TCPI_OPT_SYN_DATA != 0

if what == "serve":
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 8)
    listener.listen()
    while True:
        connection, _ = listener.accept()
        data = connection.recv(100)
        connection.sendall(b"%d %s" % (syn_data(connection), data))
        connection.close()

def ask(way, text):
    with socket.socket(family) as s:
        if way == "connect":
            s.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
            s.connect((address, port))
            s.sendall(text)
        elif way == "nonblocking":
            s.setblocking(False)
            assert s.sendto(text, MSG_FASTOPEN, (address, port)) == len(text)
            s.setblocking(True)
        else:
            assert s.sendto(text, MSG_FASTOPEN, (address, port)) == len(text)
        return s.recv(100), syn_data(s)

known = what == "again"  # a cookie
for way in ("message", "message", "connect", "nonblocking"):
    answer, taken = ask(way, way.encode())
    assert answer == b"%d %s" % (known, way.encode()) and taken == known, (way, answer, taken)
    known = True
PYTHON

tideline_options=(--wire "tap:tl0,peer=192.0.2.1/24,peer6=2001:db8::1/64" --ip 192.0.2.2/24 --ip6 2001:db8::2/64)
listens() { until ss -Hltn "sport = :$1" | grep -q .; do sleep 0.02; done; }
end_servers() {
  end_by TERM "${children[@]}"
  children=()
}
count() { nstat -az "TcpExtTCPFastOpen$1" | sed -n "s/^TcpExtTCPFastOpen$1 *\([0-9]*\).*/\1/p"; }

for address in 192.0.2.1 2001:db8::1; do
  before=$(count Passive)
  ip tcp_metrics flush
  [ "$address" = 192.0.2.1 ] && any=0.0.0.0 || any=::
  "$python" peer.py serve "$any" 7100 >server.log 2>&1 &
  children+=($!)
  listens 7100
  timeout 60 "$tideline" run "${tideline_options[@]}" -- "$python" peer.py ask "$address" 7100 >client.log 2>&1 ||
    fail "a client of ours at $address"
  [ $(($(count Passive) - before)) -eq 3 ] || fail "the kernel has not taken three SYNs with data"
  end_servers
done
echo "clients of ours, servers of the kernel's"

for address in 192.0.2.2 2001:db8::2; do
  before=$(count Active)
  ip tcp_metrics flush
  "$tideline" run "${tideline_options[@]}" -- "$python" peer.py serve "$address" 7200 >server.log 2>&1 &
  children+=($!)
  until ping -c 1 -W 1 "$address" >ping.log 2>&1; do kill -0 "${children[0]}" || fail "the server has ended"; done
  # It answers pings before it listens.
  until timeout 5 "$python" -c "import socket; socket.create_connection(('$address', 7200), 1)" 2>probe.log; do sleep 0.02; done
  timeout 60 "$python" peer.py ask "$address" 7200 >client.log 2>&1 || fail "a client of the kernel's at $address"
  [ $(($(count Active) - before)) -eq 3 ] || fail "the kernel's SYNs with data were not taken"
  end_servers
done
echo "clients of the kernel's, servers of ours"

# Cookies are the front end's: the second program has that of the first.
ip tcp_metrics flush
before=$(count Passive)
"$python" peer.py serve 0.0.0.0 7300 >server.log 2>&1 &
children+=($!)
listens 7300
"$tideline" up --name fast "${tideline_options[@]}" >up.log 2>&1 || fail "tideline up"
for what in ask again; do
  timeout 60 "$tideline" run --placement frontend --name fast -- "$python" peer.py $what 192.0.2.1 7300 >client.log 2>&1 ||
    fail "a client behind a front end: $what"
done
[ $(($(count Passive) - before)) -eq 7 ] || fail "the kernel has not taken seven SYNs with data"
echo "clients behind a front end"
