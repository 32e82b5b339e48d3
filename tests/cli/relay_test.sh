#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# relay_test.sh TIDELINE tap|packet|dgram: two kernels, each in a namespace of its own, with all their
# offloads on, reach each other through `tideline relay`, also through a lossy and a policing one; tshark finds
# nothing wrong. Over dgram two relays are in a row, with a wire between that can no offload at all.
. "$(dirname "$0")/common.sh"
kind=$2
bytes=4000000

unshare --net sleep 600 &
far=$!
children+=("$far")
until [ "$(readlink "/proc/$far/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
far() { nsenter --net="/proc/$far/ns/net" "$@"; }
far ip link set lo up

# Moves an interface to the far namespace, and gives it its address there.
move_far() {  # move_far INTERFACE
  ip link set "$1" netns "$far"
  far ip address add 192.0.2.2/24 dev "$1"
  far ip address add 2001:db8::2/64 dev "$1" nodad
  far ip link set "$1" up
}

stop_relays() {
  for child in "${relays[@]}"; do
    kill -INT "$child"
    wait "$child" || fail "relay: exit status $?"
  done
  children=("$far")
}

relay() {  # relay NAME ARGUMENTS...
  start "$1" relay "${@:2}"
  relays+=("$last_child")
}

near=tap:tl0,peer=192.0.2.1/24,peer6=2001:db8::1/64
if [ "$kind" = packet ]; then
  ip link add tl0 type veth peer name tl1
  ip link add tl2 type veth peer name tl3
  sysctl -qw net.ipv6.conf.tl1.disable_ipv6=1 net.ipv6.conf.tl2.disable_ipv6=1
  for interface in tl0 tl1 tl2; do ip link set $interface up; done
  ip address add 192.0.2.1/24 dev tl0
  ip address add 2001:db8::1/64 dev tl0 nodad
  move_far tl3
  ip link set tl1 mtu 1400
  status=0
  "$tideline" relay packet:tl1 packet:tl2 >"$directory/mtu.log" 2>&1 || status=$?
  [ $status -eq 2 ] && grep -q 'same MTU' "$directory/mtu.log" || fail "wires of different MTU"
  ip link set tl1 mtu 1500
fi

# Starts the relays of this kind: the arguments are for the first.
connect() {
  relays=()
  case $kind in
    tap)
      relay relay "$near" tap:tl3 "$@" --capture "$directory/relay.pcap"
      move_far tl3
      ;;
    packet) relay relay packet:tl1 packet:tl2 "$@" --capture "$directory/relay.pcap" ;;
    dgram)
      sysctl -qw net.unix.max_dgram_qlen=512
      # The second's capture has what was on the wire between.
      relay relay "$near" "dgram:$directory/a,$directory/b" "$@"
      relay second "dgram:$directory/b,$directory/a" tap:tl3 --capture "$directory/relay.pcap"
      move_far tl3
      ;;
    *) fail "no wire '$kind'" ;;
  esac
}

cat >"$directory/transfer.py" <<'PYTHON'
# serve ADDRESS | send ADDRESS BYTES: a stream of known bytes, read to its end and answered by its hash.
import hashlib, socket, sys
version = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
stream = socket.socket(version)
stream.settimeout(60)
if sys.argv[1] == "serve":
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    stream.bind((sys.argv[2], 5001))
    stream.listen()
    print("ready", flush=True)
    peer, _ = stream.accept()
    peer.settimeout(60)
    seen = hashlib.sha256()
    while data := peer.recv(1 << 16):
        seen.update(data)
    peer.sendall(seen.digest())
else:
    data = bytes(i * 7 % 251 for i in range(251)) * (int(sys.argv[3]) // 251)
    stream.connect((sys.argv[2], 5001))
    stream.sendall(data)
    stream.shutdown(socket.SHUT_WR)
    assert stream.recv(32) == hashlib.sha256(data).digest(), "the stream differs"
PYTHON

# Bytes from here to there, and from there to here.
transfer() {  # transfer SERVER-ADDRESS SERVER-PREFIX CLIENT-PREFIX
  local log=$directory/serve.log
  : >"$log"
  $2 python3 "$directory/transfer.py" serve "$1" >"$log" 2>&1 &
  local server=$!
  until grep -q ready "$log"; do kill -0 $server 2>/dev/null || fail "server on $1"; sleep 0.02; done
  $3 python3 "$directory/transfer.py" send "$1" $bytes 2>"$directory/send.log" || fail "stream to $1"
  wait $server || fail "server on $1"
  echo "$kind: $bytes bytes to $1 arrived"
}
transfers() {
  transfer 192.0.2.2 far env
  transfer 2001:db8::2 far env
  transfer 192.0.2.1 env far
  transfer 2001:db8::1 env far
}

connect
for address in 192.0.2.2 2001:db8::2; do
  for size in 56 20000; do
    # All at once: after its last request ping waits for an interval and no longer, here a second.
    ping -n -c 3 -l 3 -s $size $address >"$directory/ping.log" 2>&1 || fail "ping $address"
    grep -q ' 3 received' "$directory/ping.log" || fail "ping $address, $size bytes: lost"
  done
done
transfers
promiscuity() { ip -d link show tl1 | grep -o 'promiscuity [0-9]*'; }
[ "$kind" != packet ] || [ "$(promiscuity)" = 'promiscuity 1' ] || fail "tl1 is not promiscuous"
stop_relays
[ "$kind" != packet ] || [ "$(promiscuity)" = 'promiscuity 0' ] || fail "tl1 stayed promiscuous"
check_capture "$directory/relay.pcap"
if [ "$kind" = dgram ]; then
  grep -q ' [1-9][0-9]* segmented' "$directory/relay.log" || fail "nothing was segmented"
  [ "$(tshark -n -r "$directory/relay.pcap" -Y 'frame.len > 1514' 2>/dev/null | wc -l)" -eq 0 ] ||
    fail "frames longer than the wire takes"
fi

connect --impair loss=1%,delay=1ms,reorder=1%,dup=0.5% --seed 5
transfers
stop_relays
check_capture "$directory/relay.pcap" tcp
grep -q 'impair_loss' "$directory/relay.log" || fail "nothing was lost"

# A policer, late frames and a short queue, which all cost a bulk transfer something.
connect --impair police=200Mbit,burst=64kB,late=5%,lateness=2ms,rate=400Mbit,queue=5ms --seed 6
transfers
stop_relays
check_capture "$directory/relay.pcap" tcp
grep -q 'impair_police' "$directory/relay.log" || fail "nothing was policed"
errors() { "$@" cat /proc/net/snmp | awk '/^Tcp:/ {print $NF}' | tail -1; }
[ "$(errors env)" = 0 ] && [ "$(errors far)" = 0 ] || fail "a kernel found wrong TCP checksums"
