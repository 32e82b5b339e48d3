#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# rxe_test.sh TIDELINE VERBS_CHECK GUEST: RDMA with Linux as the other end. The peer is rdma_rxe in a virtual machine
# whose wire ends in tideline (`dgram:`); GUEST is the directory that build-rxe-guest has filled. The same unmodified
# programs of libibverbs run on both ends, each of them as client and as server, over GIDs of IPv4 and IPv6; then over a
# relay that loses frames. Their exchange of addresses goes over a TAP, from kernel to kernel, where nothing is lost.
#
# Its processes are in a namespace of their own, so that none outlives it, whatever it waits for.
if [ -z "${TIDELINE_TEST_NAMESPACE:-}" ] && [ "$(id -u)" -eq 0 ]; then
  export TIDELINE_TEST_NAMESPACE=1
  exec unshare --net --pid --mount-proc --kill-child --fork bash "$0" "$@"
fi
. "$(dirname "$0")/../cli/common.sh"
verbs_check=$(realpath "$2")
guest=$3  # as it is: it need not exist
[ -e "$guest/initramfs.cpio" ] || { echo "skipped: tests/interop/build-rxe-guest has not filled $guest"; exit 77; }
command -v qemu-system-x86_64 >/dev/null || { echo "skipped: needs qemu-system-x86"; exit 77; }

here_ip=198.18.1.1  # on the TAP; on the wire it is 198.18.0.1 and 198.18.0.2
guest_ip=198.18.1.2
host=(--mtu 4400 --ip 198.18.0.1/24 --ip6 2001:db8:18::1/64)
direct=dgram:$directory/wire,$directory/guest
wire=$direct
patience=120  # seconds; emulation on a busy machine is slow

# A wire of datagrams holds this many frames; by default 10.
echo 1000 >/proc/sys/net/unix/max_dgram_qlen
ip tuntap add dev control mode tap
ip addr add $here_ip/24 dev control
ip link set control up

start_guest() {
  qemu-system-x86_64 -M q35 -accel tcg -cpu max -m 384M -nodefaults -no-user-config -display none -no-reboot \
    -serial "file:$directory/console.log" -kernel "$guest/vmlinux" -initrd "$guest/initramfs.cpio" \
    -append 'console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check' \
    -netdev "dgram,id=wire,local.type=unix,local.path=$directory/guest,remote.type=unix,remote.path=$directory/wire" \
    -device virtio-net-pci,netdev=wire,mac=52:54:00:00:00:01,romfile= \
    -netdev tap,id=control,ifname=control,script=no,downscript=no \
    -device virtio-net-pci,netdev=control,mac=52:54:00:00:00:02,romfile= >"$directory/qemu.log" 2>&1 &
  machine=$!
  children+=("$machine")
  local tries=0
  until grep -q '^ready' "$directory/console.log" 2>/dev/null; do
    kill -0 "$machine" 2>/dev/null || fail "the virtual machine has ended"
    [ $((tries += 1)) -le 600 ] || fail "the guest does not get ready"
    sleep 0.1
  done
}

# Runs a line in the guest and prints what it prints; the status is the line's, at least 1 if the guest is not there.
in_guest() {
  local answer
  answer=$(exec 3<>/dev/tcp/$guest_ip/7000 && echo "($*) 2>&1 </dev/null; echo \$?; exit" >&3 && cat <&3) || return 1
  sed '$d' <<<"$answer"
  return "$(tail -n 1 <<<"$answer")"
}

ran=0
declare -A counted=()

# What tideline has counted, from its last line; each program's is kept, and summed up.
count() {  # count LOG
  local word line
  line=$(grep -o 'tideline: pid [0-9]*: wire_rx.*' "$1") || fail "tideline says no counters"
  for word in ${line#*:*: }; do
    counted[${word%%=*}]=$((${counted[${word%%=*}]:-0} + ${word#*=}))
  done
  # What a peer that keeps to the specification never causes, whatever is lost.
  local never='drop_icrc|drop_pkey|drop_qp_type|drop_address|drop_qkey|drop_gso|drop_response|drop_syndrome'
  never+='|nak_invalid|nak_operation|rx_truncated|tx_long'
  [[ ! $line =~ [[:space:]]($never)= ]] || fail "tideline counts ${BASH_REMATCH[1]} in '$program': $line"
}

run_here() {  # run_here ARGUMENTS...: the program under tideline, its frames captured
  timeout $patience "$tideline" run --stats --wire "$wire" "${host[@]}" --capture "$directory/$ran.pcap" -- \
    "$@" >"$directory/here.log" 2>&1
}

wait_for_listener() {  # wait_for_listener COMMAND...: prints the listening sockets
  local tries=0
  until "$@" | grep -q ":$port "; do
    [ $((tries += 1)) -le 300 ] || fail "the server of '$program' does not listen"
    sleep 0.1
  done
}

# The server in the guest, the client here.
outwards() {  # outwards PROGRAM ARGUMENTS...
  in_guest timeout $patience "${@##*/}" "${port_option[@]}" >"$directory/there.log" &
  server=$!
  wait_for_listener in_guest netstat -ltn
  run_here "$@" "${port_option[@]}" $guest_ip && wait $server
}

inwards() {
  run_here "$@" "${port_option[@]}" &
  server=$!
  wait_for_listener ss -Hltn
  in_guest timeout $patience "${@##*/}" "${port_option[@]}" $here_ip >"$directory/there.log" && wait $server
}

attempts=1
both_ways() {  # both_ways PROGRAM ARGUMENTS...
  local way begin failures
  for way in outwards inwards; do
    program="${*##*/} ($way)"
    begin=$SECONDS
    failures=0
    until next_port "$1" && $way "$@"; do
      [ $((failures += 1)) -lt $attempts ] || fail "'$program'"
      # Gone before the next try, which has a port of its own; why it failed is told, for the logs are written anew.
      local status=0
      wait "$server" || status=$?
      ! grep -qi 'invalid data' "$directory/here.log" "$directory/there.log" || fail "'$program': wrong data"
      ! grep -q 'tideline: pid [0-9]*: wire_rx' "$directory/here.log" || count "$directory/here.log"
      echo "'$program': try $failures of $attempts failed, its server with status $status"
    done
    count "$directory/here.log"
    printf '%-62s %3d s\n' "$program" $((SECONDS - begin))
  done
}
next_port() {  # next_port PROGRAM
  ran=$((ran + 1))
  port=$((20000 + ran))
  port_option=(-p $port)
  [ "$1" != "$verbs_check" ] || port_option=("$port")
}

# What rdma_rxe has counted of this since it began.
guest_counter() { in_guest cat "/sys/class/infiniband/rxe0/ports/1/hw_counters/$1"; }

at_least_one() {  # at_least_one WORD...: of what tideline counts
  local word
  for word; do [ "${counted[$word]:-0}" -gt 0 ] || fail "tideline counts no $word"; done
}

start_guest
echo "the guest is ready after $SECONDS s"

# The GIDs of rdma_rxe have the same indices as ours: 1 is IPv4, 2 is IPv6. -u: the guest may be slow to acknowledge.
few=20
perftest=(-F -n "$few" -u 18)
for gid in 1 2; do
  both_ways ibv_rc_pingpong -g $gid -n $few -c -s 4093
  both_ways ibv_uc_pingpong -g $gid -n $few -c -s 4093
  both_ways ibv_ud_pingpong -g $gid -n $few -c -s 1021
  both_ways ib_write_bw "${perftest[@]}" -x $gid -s 65536
  both_ways ib_read_bw "${perftest[@]}" -x $gid -s 65536
  both_ways ib_send_bw "${perftest[@]}" -x $gid -s 65536
  both_ways ib_atomic_bw "${perftest[@]}" -x $gid
  both_ways "$verbs_check" 4096 $gid
done
both_ways "$verbs_check" 1024 1
both_ways ib_write_bw "${perftest[@]}" -x 1 -s 65535 -m 1024
both_ways ib_read_bw "${perftest[@]}" -x 2 -s 65533 -m 1024
both_ways ib_send_bw "${perftest[@]}" -x 1 -s 65534 -m 1024 -q 2
both_ways ib_atomic_bw "${perftest[@]}" -x 2 -A CMP_AND_SWAP
both_ways ib_send_bw "${perftest[@]}" -x 1 -s 4096 -c UD
both_ways ib_write_bw "${perftest[@]}" -x 2 -s 5000 -c UC
both_ways ib_send_bw "${perftest[@]}" -x 1 -s 8192 -b
both_ways ib_send_bw "${perftest[@]}" -x 2 -s 8192 -e
both_ways ib_send_bw "${perftest[@]}" -x 1 -s 8192 --use-srq -q 2

# Each has taken what the other has sent, or some program would have failed; so much for the ICRC as both see it. A
# third opinion of it, and of all else that is in the headers:
check_captured() {
  "$(dirname "$0")/check-icrc" "$directory"/*.pcap >"$directory/icrc.log" || fail "wrong ICRC"
  local address all=$directory/all.pcapng bad
  for address in 198.18.0.1 198.18.0.2 2001:db8:18::1 2001:db8:18::2; do
    grep -q "^$address [1-9]" "$directory/icrc.log" || fail "no packet of $address was captured"
  done
  mergecap -a -I none -w "$all" "$directory"/*.pcap || fail "mergecap"
  bad=$(tshark -n -r "$all" "${check_sums[@]}" -Y "$complaints || (udp.port == 4791 && !infiniband)" \
    2>"$directory/tshark.log") || fail "tshark"
  [ -z "$bad" ] || fail "tshark finds: $bad"
  rm "$directory"/*.pcap
}
check_captured
at_least_one rx_packets tx_packets rx_rnr nak_rnr
# verbs_check's last request, and nothing else.
[ "${counted[nak_access]:-0}" -eq 3 ] || fail "tideline has refused access ${counted[nak_access]:-0} times, not 3"

# A relay loses frames of both ways.
counted=()
ahead=$(guest_counter out_of_seq_request)
refused=$(guest_counter rcvd_seq_err)
start relay relay "$direct" "dgram:$directory/relay,$directory/here" --mtu 4400 --impair loss=1% --seed 4
relay=$last_child
wire=dgram:$directory/here,$directory/relay
perftest=(-F -n 50 -u 16)
# Its two ends part without a word: whose last message is sent, or acknowledged, in vain, fails.
attempts=4
both_ways ibv_rc_pingpong -g 1 -n 100 -c -s 16384
both_ways ibv_rc_pingpong -g 2 -n 100 -c -s 16384 -m 1024
attempts=1
both_ways ib_write_bw "${perftest[@]}" -x 1 -s 32768 -m 1024
both_ways ib_read_bw "${perftest[@]}" -x 2 -s 32768 -m 1024
both_ways ib_send_bw "${perftest[@]}" -x 1 -s 32768
both_ways ib_atomic_bw "${perftest[@]}" -n 200 -x 2
both_ways "$verbs_check" 1024 1
both_ways "$verbs_check" 4096 2
kill -INT "$relay"
wait "$relay" || fail "relay: exit status $?"
check_captured
[ "$(grep -c 'port.impair_loss' "$directory/relay.log")" -eq 2 ] || fail "the relay has not lost frames of both ways"
# Each end has missed packets of the other, has said so, and has sent again what the other missed.
at_least_one retransmits rx_nak_sequence nak_sequence
[ "$(guest_counter out_of_seq_request)" -gt "$ahead" ] || fail "the guest has missed nothing"
[ "$(guest_counter rcvd_seq_err)" -gt "$refused" ] || fail "the guest was not told what is missing"
for word in "${!counted[@]}"; do echo "$word ${counted[$word]}"; done | sort
grep 'port.impair_loss' "$directory/relay.log"
