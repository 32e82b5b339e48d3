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

# What a program looks up by name and version is ours too.
LD_LIBRARY_PATH=$(dirname "$tideline")/../lib/tideline-dropin ibv_devices >"$directory/dropin.log" 2>&1
grep -q tideline0 "$directory/dropin.log" || fail "libibverbs.so.1 of ours has no device"
echo "all programs have run over $kind"
