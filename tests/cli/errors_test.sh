#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# errors_test.sh TIDELINE: exit statuses, and errors that say what to do.
. "$(dirname "$0")/common.sh"

tap=tap:tl0,peer=192.0.2.1/24
expect 0 'Examples' --help
expect 0 '--impair' ping --help
expect 2 '' ping
expect 2 'Range\|range' ping 192.0.2.1 -s 65508 --wire $tap --ip 192.0.2.2/24
expect 2 'tideline ports' ping 192.0.2.1 --wire carrier-pigeon: --ip 192.0.2.2/24
expect 2 'tideline run' ping 192.0.2.1 --placement frontend --wire $tap --ip 192.0.2.2/24
expect 1 '1 lost' ping 192.0.2.9 -c 1 -i 0.01 --placement app --wire $tap --ip 192.0.2.2/24
for never in 127.0.0.1 0.0.0.0 ::1 ::; do
  expect 1 'none that a packet on a wire may have' ping $never -c 1 --placement app --wire $tap,peer6=2001:db8::1/64 \
    --ip 192.0.2.2/24 --ip6 2001:db8::2/64 --gateway 192.0.2.1 --gateway 2001:db8::1
done
expect 2 'one too many' ping 192.0.2.1 -c 1 --placement app --wire $tap --ip 192.0.2.2/24 \
  $(printf -- '--gateway 192.0.2.%d ' 1 3 4 5 6 7 8 9 10)
expect 2 'no address that a gateway' ping 192.0.2.1 -c 1 --placement app --wire $tap --ip 192.0.2.2/24 --gateway 127.0.0.1
expect 2 'no address' ping 192.0.2.1 -c 1 --wire $tap
expect 2 '' ping nowhere -c 1 --wire $tap --ip 192.0.2.2/24
expect 3 'nosuch' ping 192.0.2.1 -c 1 --wire packet:nosuch --ip 192.0.2.2/24
expect 3 'nosuch' ping 192.0.2.1 -c 1 --wire xdp:nosuch --ip 192.0.2.2/24
expect 2 'mode=generic' ping 192.0.2.1 -c 1 --wire xdp:lo,mode=fast --ip 192.0.2.2/24
expect 3 'mode=generic' ping 192.0.2.1 -c 1 --wire xdp:lo,mode=copy --ip 192.0.2.2/24
ip address add 192.0.2.77/32 dev lo
expect 2 'an address of this machine' ping 192.0.2.1 -c 1 --wire xdp:lo --ip 192.0.2.77/24
ip address del 192.0.2.77/32 dev lo
# Without capabilities: what to run it with.
status=0
setpriv --bounding-set -all --inh-caps -all \
  "$tideline" ping 192.0.2.1 -c 1 --wire xdp:lo --ip 192.0.2.2/24 >"$directory/out.log" 2>&1 ||
  status=$?
{ [ $status -eq 3 ] && grep -q 'CAP_NET_ADMIN' "$directory/out.log"; } ||
  fail "xdp without capabilities: exit status $status"
expect 3 'is used by' echo --wire $tap,peer6=2001:db8::1/64 --ip6 2001:db8::1/64 --duration 5
expect 1 '2 lost' ping 192.0.2.9 -c 2 -i 0.01 --wire $tap --ip 192.0.2.2/24
expect 1 'impair_loss' ping 192.0.2.1 -c 2 -i 0.01 --wire $tap --ip 192.0.2.2/24 \
  --impair loss=100% --seed 1
expect 0 'tap:NAME' ports
expect 0 '"usable"' ports --json

expect 2 'shm:NAME' ping 192.0.2.1 -c 1 --wire memory --ip 192.0.2.2/24

# Two programs of ours on a wire of datagrams; then a capture of what the kernel sends.
start echo echo --wire "dgram:$directory/a,$directory/b" --ip 192.0.2.1/24
expect 0 '3 received' ping 192.0.2.1 -c 3 -i 0.01 -s 1000 \
  --wire "dgram:$directory/b,$directory/a" --ip 192.0.2.2/24
stop "$last_child"
start capture capture -w "$directory/frames.pcap" --wire $tap --count 3
! ping -c 3 -i 0.2 -W 1 192.0.2.77 >"$directory/ping.log" 2>&1 || fail "somebody answers for 192.0.2.77"
wait "$last_child" || fail "capture: exit status $?"
children=()
[ "$(tshark -n -r "$directory/frames.pcap" 2>/dev/null | wc -l)" -eq 3 ] || fail "capture"

# Over XDP it takes all that comes, too; nothing here is for an address of ours.
ip link add tl1 type veth peer name tl2
sysctl -qw net.ipv6.conf.tl1.disable_ipv6=1 net.ipv6.conf.tl2.disable_ipv6=1
ip address add 198.18.9.1/24 dev tl1
ip link set tl1 up
ip link set tl2 up
start xdp-capture capture -w "$directory/xdp.pcap" --wire xdp:tl2 --count 2
! ping -c 3 -i 0.2 -W 1 198.18.9.2 >"$directory/ping.log" 2>&1 || fail "somebody answers for 198.18.9.2"
wait "$last_child" || fail "capture over XDP: exit status $?"
children=()
[ "$(tshark -n -r "$directory/xdp.pcap" -Y arp 2>/dev/null | wc -l)" -eq 2 ] || fail "capture over XDP"

# What was captured, replayed to a host that answers into a file, and captured again.
expect 0 '2 frames' capture -w "$directory/again.pcap" --count 2 \
  --wire "pcap:$directory/frames.pcap,fast"
expect 0 'frames received' echo --wire "pcap:$directory/frames.pcap,$directory/answers.pcap,fast" \
  --ip 192.0.2.77/24 --duration 0.2
[ "$(tshark -n -r "$directory/answers.pcap" -Y 'arp.opcode == 2' 2>/dev/null | wc -l)" -ge 1 ] ||
  fail "no answer to what was replayed"
expect 3 'frames are missing' echo --wire "pcap:$directory/frames.pcap,/dev/full,fast" \
  --ip 192.0.2.77/24 --duration 0.2
expect 2 'two files' echo --wire pcap:a,b,c --ip 192.0.2.2/24
echo "exit statuses, errors, dgram and capture as they should be"
