#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# gateway_test.sh TIDELINE: the kernel as a router. Of two gateways the one that answers serves; where the kernel knows a
# better first hop than itself, and says so, that one is asked for.
. "$(dirname "$0")/common.sh"

ip link add tl0 type veth peer name tl1
sysctl -qw net.ipv6.conf.tl0.accept_dad=0 net.ipv6.conf.tl1.disable_ipv6=1 net.ipv4.ip_forward=1
ethtool -K tl0 tx off >/dev/null
ip link set tl0 up
ip link set tl1 up
ip address add 192.0.2.1/24 dev tl0
ip address add 2001:db8::1/64 dev tl0 nodad
ip address add 198.18.5.1/32 dev lo
ip address add 2001:db8:5::1/128 dev lo
wire="--wire packet:tl1 --placement app --ip 192.0.2.2/24 --ip6 2001:db8::2/64"

# The first gateway is nobody's: after three questions the second has its turn.
for address in 198.18.5.1 2001:db8:5::1; do
  status=0
  timeout 60 "$tideline" ping $address -c 12 -i 0.5 $wire --gateway 192.0.2.9 --gateway 192.0.2.1 --gateway 2001:db8::9 \
    --gateway 2001:db8::1 --json >"$directory/ping.log" 2>&1 || status=$?
  python3 - "$directory/ping.log" <<'PYTHON' || fail "two gateways, $address: exit status $status"
import json, sys
result = json.load(open(sys.argv[1]))
assert result["sent"] == 12 and 0 < result["received"] < 12, result
PYTHON
  echo "two gateways, $address: the second serves"
done

# The way to this network is by another router of the link, who is not there; that is asked for all the same.
ip route add 198.18.6.0/24 via 192.0.2.7 dev tl0
capture=$directory/redirect.pcap
expect 1 '6 sent, 0 received' ping 198.18.6.1 -c 6 -i 0.3 $wire --gateway 192.0.2.1 --capture "$capture"
asked="arp.opcode == 1 && arp.src.proto_ipv4 == 192.0.2.2 && arp.dst.proto_ipv4 == 192.0.2.7"
for frames in 'icmp.type == 5' "$asked"; do
  [ "$(tshark -n -r "$capture" -Y "$frames" 2>/dev/null | wc -l)" -gt 0 ] || fail "no frame of '$frames'"
done
echo "a redirect of the kernel's is obeyed"
