#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tcp_echo_test.sh TIDELINE: the kernel's TCP sends to tideline's and compares every byte that comes
# back, IPv4 and IPv6, over a good link and over bad ones; tshark finds nothing wrong in the captures.
. "$(dirname "$0")/common.sh"

talk() {  # talk BYTES: to both addresses
  timeout 60 python3 - "$1" <<'PYTHON' || fail "an echo of up to $1 bytes"
import hashlib, socket, sys, threading

def echo(family, address, size, half_close):
    data = hashlib.shake_128(str(size).encode()).digest(size)
    with socket.socket(family) as peer:
        peer.settimeout(30)
        peer.connect((address, 7))
        def send():
            peer.sendall(data)
            if half_close:
                peer.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        back = bytearray()
        while half_close or len(back) < size:
            piece = peer.recv(1 << 16)
            if not piece:
                break
            back += piece
        sender.join()
    assert bytes(back) == data, f"{address}: {len(back)} of {size} bytes, or wrong ones"

for family, address in ((socket.AF_INET, "192.0.2.2"), (socket.AF_INET6, "2001:db8::2")):
    for size in (0, 1, 1448, 100000, int(sys.argv[1])):
        echo(family, address, size, half_close=True)
    echo(family, address, 5000, half_close=False)
    with socket.socket(family) as refused:
        try:
            refused.connect((address, 8))
            sys.exit("port 8 is not refused")
        except ConnectionRefusedError:
            pass
PYTHON
}

wire="tap:tl0,peer=192.0.2.1/24,peer6=2001:db8::1/64"
host="--ip 192.0.2.2/24 --ip6 2001:db8::2/64"
for impair in none loss=1%,delay=2ms 'loss=5%,delay=1ms,jitter=1ms,reorder=2%,dup=1%'; do
  bad=()
  size=5000000
  if [ "$impair" != none ]; then
    bad=(--impair "$impair" --seed 3)
    size=500000
  fi
  start echo echo --wire "$wire" $host --capture "$directory/echo.pcap" "${bad[@]}"
  talk $size
  stop "$last_child"
  wrong=$(tshark -n -r "$directory/echo.pcap" -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE \
    -Y '_ws.malformed || ip.checksum.status == 0 || (tcp.checksum.status == 0 && ip.src == 192.0.2.2) ||
        (tcp.checksum.status == 0 && ipv6.src == 2001:db8::2)' 2>"$directory/tshark.log") || fail "tshark"
  [ -z "$wrong" ] || fail "tshark finds: $(head -3 <<<"$wrong")"
  echo "kernel and tideline, link '$impair': every byte came back"
done
