#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# verbs_test.sh TIDELINE WIRE: unmodified programs of libibverbs under `tideline run`, two processes on
# a wire, over GIDs of IPv4 and IPv6; the wire is shm, or packet or xdp on veth. They compare what
# they move where they can (pingpong -c, ib_send's own sequence).
. "$(dirname "$0")/common.sh"
kind=$2
command -v ib_write_bw >/dev/null || { echo "skipped: needs perftest"; exit 77; }

. "$(dirname "$0")/verbs_pair.sh"

# The device, under its name and with its addresses.
"$tideline" run "${left[@]}" -- ibv_devinfo -v >"$directory/devinfo.log" 2>&1 || fail ibv_devinfo
for words in 'hca_id:.*tideline0' 'PORT_ACTIVE' 'RoCE v2' 'GID\[ *1\]:.*::ffff:'; do
  grep -q "$words" "$directory/devinfo.log" || fail "ibv_devinfo does not say '$words'"
done
grep -q 'GID\[ *2\]:.*2001:db8:' "$directory/devinfo.log" || fail "no GID of IPv6"

few=20
for gid in 1 2; do
  pair ibv_rc_pingpong -g $gid -n $few -c
  pair ibv_rc_pingpong -g $gid -n $few -c -e
  pair ibv_uc_pingpong -g $gid -n $few -c
  pair ibv_ud_pingpong -g $gid -n $few -c -s 1024
  pair ibv_srq_pingpong -g $gid -n $few -c
  pair ib_write_bw -x $gid -n $few -s 65536
  pair ib_read_bw -x $gid -n $few -s 65536
  pair ib_send_bw -x $gid -n $few -s 1024 -c UD
  pair ib_atomic_bw -x $gid -n $few
done
pair ib_write_lat -x 1 -n $few -s 8
pair ib_send_lat -x 1 -n $few -s 16 -I 16
pair ib_read_lat -x 1 -n $few
pair ib_write_bw -x 1 -n $few -s 4096 -c UC -q 4
pair ib_send_bw -x 1 -n $few -s 8192 -b -e
pair ib_write_bw -x 1 -n $few --use_old_post_send

# RoCE v1, at the indices behind those of v2.
for gid in 17 18; do
  pair ibv_rc_pingpong -g $gid -n $few -c
  pair ibv_ud_pingpong -g $gid -n $few -c -s 1024
done
pair ib_send_bw -x 18 -n $few -s 65536

# What was captured is as on a wire, though it may have passed in longer frames: every packet has the ICRC
# that another program computes, and tshark reads it. The benchmark's data is random: tshark is kept from
# taking it for a protocol above (0x08 and three bytes of padding are IPv4 by its guess).
guesses=()
for guess in rpcrdma_infiniband eth_over_ib mellanox_eoib fc_infiniband smcr_infiniband smb_direct_infiniband \
  lnet_ib iser_infiniband sdp_infiniband; do
  guesses+=(--disable-heuristic $guess)
done
captured() {  # captured FILTER: the packets of the last capture that tshark takes for that
  tshark -n -r "$directory/roce.pcap" "${guesses[@]}" -Y "$1" >"$directory/captured.log" 2>"$directory/tshark.log" ||
    fail "tshark does not read the capture"
  wc -l <"$directory/captured.log"
}
all=("${left[@]}")
for gid in 2 17; do
  left=("${all[@]}" --capture "$directory/roce.pcap")
  pair ib_write_bw -x $gid -n $few -s 65537
  "$(dirname "$0")/../interop/check-icrc" "$directory/roce.pcap" >"$directory/icrc.log" || fail "wrong ICRC"
  [ "$(wc -l <"$directory/icrc.log")" = 2 ] || fail "not both have sent RoCE"
  [ "$(captured infiniband.reth)" -ge $few ] || fail "tshark does not see the WRITEs"
  [ "$(captured infiniband.aeth)" -gt 0 ] || fail "tshark does not see the ACKs"
  [ "$(captured 'infiniband && (_ws.malformed || frame.len > 4200)')" = 0 ] || fail "tshark complains"
  [ $gid = 2 ] || [ "$(captured 'infiniband && !infiniband.grh')" = 0 ] || fail "no GRH"
done
left=("${all[@]}")

# One-sided operations between processes of one machine go past the wire: by a copy into memory that
# they share, as buffers for transfers are from the start, by the kernel into other memory, and by
# frames on demand.
if [ "$kind" = shm ]; then
  left+=(--stats)
  right+=(--stats)
  went() { grep -Eq " $1=[1-9]" "$directory/client.log" || fail "'$2' has no $1"; }
  did_not() { ! grep -Eq " $1=[1-9]" "$directory/client.log" || fail "'$2' has $1"; }
  for program in ib_write_bw ib_read_bw; do
    pair $program -x 2 -n $few -s 65536
    went direct_by_mapping $program
    export TIDELINE_HEAP=0
    pair $program -x 2 -n $few -s 65536
    unset TIDELINE_HEAP
    went direct_by_kernel "$program from private memory"
  done
  # A program whose memory is a file of its own, which has no name any more.
  cat >"$directory/mapped" <<'END'
file=$(mktemp -p /dev/shm tideline-test-XXXXXX)
truncate -s 4M "$file"
exec 9<>"$file"
rm "$file"
exec "$@" --mmap /proc/self/fd/9
END
  pair bash "$directory/mapped" ib_write_lat -x 1 -n $few -s 8
  went direct_by_mapping 'ib_write_lat --mmap'
  export TIDELINE_DIRECT=0
  pair ib_write_bw -x 1 -n $few -s 65536
  unset TIDELINE_DIRECT
  went tx_packets 'ib_write_bw by frames'
  did_not direct_bytes 'ib_write_bw by frames'
fi

# What a program looks up by name and version is ours too.
LD_LIBRARY_PATH=$(dirname "$tideline")/../lib/tideline-dropin ibv_devices >"$directory/dropin.log" 2>&1
grep -q tideline0 "$directory/dropin.log" || fail "libibverbs.so.1 of ours has no device"
echo "all programs have run over $kind"
