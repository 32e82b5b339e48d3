#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ping_test.sh TIDELINE tap|packet|xdp|xdp-generic MTU: the kernel and tideline ping each other, IPv4 and IPv6, with
# payloads from nothing to the largest; tshark finds nothing wrong in the captures.
. "$(dirname "$0")/common.sh"
kind=$2
mtu=$3
sizes='0 56 1472 1473 8972 65507'

case $kind in
  tap) wire=tap:tl0,peer=192.0.2.1/24,peer6=2001:db8::1/64 ;;
  packet | xdp | xdp-generic)
    ip link add tl0 type veth peer name tl1
    for interface in tl0 tl1; do
      # Our side must see the checksums that a wire would carry, and have no address of the kernel's.
      sysctl -qw "net.ipv6.conf.$interface.accept_dad=0"
      [ $interface = tl0 ] || sysctl -qw "net.ipv6.conf.$interface.disable_ipv6=1"
      ethtool -K $interface tx off >/dev/null
      ip link set $interface mtu "$mtu" up
    done
    ip address add 192.0.2.1/24 dev tl0
    ip address add 2001:db8::1/64 dev tl0 nodad
    case $kind in
      packet) wire=packet:tl1 ;;
      xdp) wire=xdp:tl1,mode=copy ;; # of the native modes, the one that a veth has
      *) wire=xdp:tl1,mode=generic ;;
    esac
    ;;
  *) fail "no wire '$kind'" ;;
esac
ours4="--ip 192.0.2.2/24"
ours6="--ip6 2001:db8::2/64"

# The kernel asks. Each reply is compared by ping itself, and counted. All three go out at once: after its last request
# ping waits for an interval and no longer, here a second.
start echo echo --wire "$wire" $ours4 $ours6 --mtu "$mtu" --capture "$directory/echo.pcap"
for address in 192.0.2.2 2001:db8::2; do
  for size in $sizes; do
    ping -n -c 3 -l 3 -s "$size" $address >"$directory/ping.log" 2>&1 ||
      fail "kernel to $address, $size bytes"
    grep -q ' 3 received' "$directory/ping.log" || fail "kernel to $address, $size bytes: lost"
    ! grep -qE 'wrong data|DUP!' "$directory/ping.log" || fail "kernel to $address: wrong data"
    echo "kernel to tideline, $address, $size bytes: 3 of 3"
  done
done
stop "$last_child"

# tideline asks, with no more addresses than it needs: each is tested for duplicates first.
for address in 192.0.2.1 2001:db8::1; do
  ours=$ours4
  [ $address = 192.0.2.1 ] || ours=$ours6
  for size in $sizes; do
    "$tideline" ping $address -c 3 -i 0.01 -s "$size" --wire "$wire" $ours --mtu "$mtu" --json \
      --capture "$directory/ping-$address-$size.pcap" >"$directory/ping.log" 2>&1 || fail "to $address, $size bytes"
    python3 - "$directory/ping.log" <<'PYTHON' || fail "to $address, $size bytes"
import json, sys
result = json.load(open(sys.argv[1]))
assert result["ok"] and result["command"] == "ping" and result["schema"] == 1, result
assert result["sent"] == result["received"] == 3 and result["lost"] == 0, result
assert 0 < result["min_ns"] <= result["p50_ns"] <= result["max_ns"], result
PYTHON
    echo "tideline to kernel, $address, $size bytes: 3 of 3"
  done
done
check_captures
