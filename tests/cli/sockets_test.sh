#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sockets_test.sh TIDELINE SOCKET_CHECK shm|tap: unmodified programs whose sockets are tideline's, with
# real data compared. shm: two programs of tideline's; tap: one of them is the kernel's.
. "$(dirname "$0")/common.sh"
kind=$3
export XDG_RUNTIME_DIR=$directory  # segments of this test's own
. "$(dirname "$0")/socket_programs.sh"

check_options() {
  "$tideline" run --stats -- curl -sS --max-time 5 "http://198.18.0.99:1/" >stats.log 2>&1 && fail "nobody is there"
  grep -q "sockets ours=1 " stats.log || fail "--stats: $(cat stats.log)"
  $python -m http.server 8001 --bind 127.0.0.1 >kernel.log 2>&1 &
  children+=($!)
  until ss -Hltn "sport = :8001" | grep -q .; do sleep 0.02; done
  "$tideline" run -- curl -sSf http://127.0.0.1:8001/small 2>/dev/null | cmp - small || fail "loopback is the kernel's"
  "$tideline" run --strict --stats -- curl -sS http://127.0.0.1:8001/small >strict.log 2>&1 && fail "--strict lets it pass"
  grep -q "refused=1 " strict.log || fail "--strict: $(cat strict.log)"
  kill "${children[-1]}"
  children=()
  timeout 20 "$tideline" run --localhost --strict -- $python - 2>localhost.log <<'PYTHON' || fail "--localhost"
import socket
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    listener = socket.create_server((address, 9000), family=family)
    near = socket.create_connection((address, 9000))
    far, _ = listener.accept()
    near.sendall(b"to myself")
    assert far.recv(100) == b"to myself"
PYTHON
  # Both shims in one process, one engine: one lease, and the device has its address.
  timeout 20 "$tideline" run -- $python - >both.out 2>both.log <<'PYTHON' || fail "sockets and verbs in one process"
import ctypes, socket
listener = socket.create_server(("0.0.0.0", 9000))
verbs = ctypes.CDLL("libibverbs.so.1")
verbs.ibv_get_device_list.restype = ctypes.POINTER(ctypes.c_void_p)
verbs.ibv_open_device.restype = ctypes.c_void_p
verbs.ibv_open_device.argtypes = [ctypes.c_void_p]
verbs.ibv_query_gid.argtypes = [ctypes.c_void_p, ctypes.c_uint8, ctypes.c_int, ctypes.c_char_p]
device = verbs.ibv_open_device(verbs.ibv_get_device_list(None)[0])
assert device
gid = ctypes.create_string_buffer(16)
assert verbs.ibv_query_gid(device, 1, 1, gid) == 0
print(".".join(str(byte) for byte in gid.raw[12:]))
PYTHON
  [ "$(grep -c ' leased on ' both.log)" -eq 1 ] || fail "not one lease: $(cat both.log)"
  grep -q "^tideline: $(cat both.out) " both.log || fail "the device has the address $(cat both.out): $(cat both.log)"
  said "--stats, --strict, --localhost; sockets and verbs in one process"
}

# Traffic class and hop limit, as tshark sees them on the wire: of each segment, and of datagrams.
check_headers() {
  cat >headers.py <<'PYTHON'
import socket
marked = ((socket.AF_INET, "192.0.2.1", socket.IPPROTO_IP, socket.IP_TOS, socket.IP_TTL),
          (socket.AF_INET6, "2001:db8::1", socket.IPPROTO_IPV6, socket.IPV6_TCLASS, socket.IPV6_UNICAST_HOPS))
for family, address, level, traffic_class, hop_limit in marked:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        near = socket.socket(family, kind)
        near.setsockopt(level, traffic_class, 0x48)
        near.setsockopt(level, hop_limit, 9)
        near.connect((address, 9100))
        near.send(b"marked")
        if kind == socket.SOCK_STREAM:
            near.shutdown(socket.SHUT_WR)
            assert near.recv(100) == b""
PYTHON
  socat -u TCP6-LISTEN:9100,fork,reuseaddr OPEN:/dev/null &
  children+=($!)
  until ss -Hltn "sport = :9100" | grep -q .; do sleep 0.02; done
  timeout 60 "$tideline" run "${ours[@]}" --capture headers.pcap -- $python headers.py 2>headers.log ||
    fail "headers.py: $(cat headers.log)"
  kill "${children[-1]}"
  children=()
  tshark -n -r headers.pcap -Y "(tcp or udp) and not icmp and not icmpv6 and (ip.src == 192.0.2.2 or ipv6.src == 2001:db8::2)" -T fields -E occurrence=f \
    -e ip.dsfield -e ip.ttl -e ipv6.tclass -e ipv6.hlim -e frame.protocols >headers 2>tshark.log || fail "tshark"
  for protocol in ip:tcp ip:udp ipv6:tcp ipv6:udp; do
    grep -q ":$protocol" headers || fail "no $protocol is in the capture"
  done
  awk '!(($1 == "0x48" && $2 == 9) || ($1 == "0x00000048" && $2 == 9)) { exit 1 }' headers || fail "marks: $(cat headers)"
  said "traffic class and hop limit on the wire"
}

if [ "$kind" = shm ]; then
  ours=()
  as_client=("$tideline" run --)
  check_calls 198.18.0.1 2001:db8:18::1
  check_nc
  check_http
  check_asyncio
  check_iperf
  check_redis
  check_nginx
  check_options
else
  ours=(--wire "tap:tl0,peer=192.0.2.1/24,peer6=2001:db8::1/64" --ip 192.0.2.2/24 --ip6 2001:db8::2/64)
  address4=192.0.2.2
  address6=2001:db8::2
  as_client=()
  check_headers
  check_nc
  check_http
  check_asyncio
  check_redis
  check_nginx
  check_iperf
  check_sockperf
  # The other way round: the server is the kernel's, the client ours.
  nginx_conf
  nginx -c "$directory/nginx.conf" &
  children+=($!)
  until ss -Hltn "sport = :8080" | grep -q .; do sleep 0.02; done
  as_client=("$tideline" run "${ours[@]}" --)
  fetch "http://192.0.2.1:8080/small" small
  fetch "http://192.0.2.1:8080/large" large
  fetch "http://[2001:db8::1]:8080/large" large
  said "curl of ours from nginx of the kernel's"
fi
