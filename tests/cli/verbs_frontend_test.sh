#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# verbs_frontend_test.sh TIDELINE: unmodified programs of libibverbs whose device is a front end's: both at one,
# at two on a shared segment, and with a peer whose engine is in its process; then what happens to programs
# when a peer is killed, and the front end itself.
. "$(dirname "$0")/common.sh"
kind=shm
command -v ib_write_bw >/dev/null || { echo "skipped: needs perftest"; exit 77; }
. "$(dirname "$0")/verbs_pair.sh"

down() {
  for front in one two; do "$tideline" down --name $front >/dev/null 2>&1 || true; done
  finish
}
trap down EXIT
for front in one two; do
  "$tideline" up --name $front --wire shm:verbs >"$directory/up_$front.log" 2>&1 || fail "tideline up"
done
at_one=(--placement frontend --name one)
at_two=(--placement frontend --name two)
app=("${left[@]}")

"$tideline" run "${at_one[@]}" -- ibv_devinfo -v >"$directory/devinfo.log" 2>&1 || fail ibv_devinfo
for words in 'hca_id:.*tideline0' 'PORT_ACTIVE' 'max_qp:.*1024' 'GID\[ *1\]:.*::ffff:' 'GID\[ *2\]:.*2001:db8:'; do
  grep -q "$words" "$directory/devinfo.log" || fail "ibv_devinfo does not say '$words'"
done

few=20
left=("${at_one[@]}")
right=("${at_one[@]}")
pair ibv_rc_pingpong -g 1 -n $few -c
pair ibv_rc_pingpong -g 2 -n $few -c -e
pair ibv_uc_pingpong -g 1 -n $few -c
pair ibv_ud_pingpong -g 2 -n $few -c -s 1024
pair ibv_srq_pingpong -g 1 -n $few -c
pair ib_write_bw -x 1 -n $few -s 65536 -q 4
pair ib_send_bw -x 2 -n $few -s 8192 -b -e
pair ib_send_lat -x 1 -n $few -s 16 -I 16
pair ib_atomic_bw -x 1 -n $few
"$tideline" status --name one --json | python3 -c '
import json, sys
passes = json.load(sys.stdin)["processes"][0]["passes"]["bytes"]
assert passes > 20 * 65536, passes' || fail "status does not tell that bytes were touched"
right=("${at_two[@]}")
pair ibv_rc_pingpong -g 1 -n $few -c -e
pair ib_read_bw -x 2 -n $few -s 65536
pair ib_send_bw -x 1 -n $few -s 1024 -c UD
right=("${app[@]}")
pair ib_write_bw -x 1 -n $few -s 65536
pair ib_send_bw -x 17 -n $few -s 65536

# A server and a client that move data until they are stopped.
begin() {
  port=$((port + 1))
  "$tideline" run "${at_one[@]}" -- ib_write_bw -x 1 -D 60 -p $port >"$directory/server.log" 2>&1 &
  server=$!
  children=("$server")
  wait_for_listener $port "$server" ib_write_bw
  "$tideline" run "${at_one[@]}" -- ib_write_bw -x 1 -D 60 -p $port localhost >"$directory/client.log" 2>&1 &
  client=$!
  children+=("$client")
  local tries=0
  until "$tideline" status --name one 2>/dev/null | grep -q RTS; do
    [ $((tries += 1)) -le 1000 ] || fail "no queue pair gets to RTS"
    sleep 0.02
  done
}
ends() {  # ends PID: it does, within a minute
  local tries=0
  while kill -0 "$1" 2>/dev/null; do
    [ $((tries += 1)) -le 3000 ] || fail "a program hangs"
    sleep 0.02
  done
}

begin
kill -KILL "$client" "$server"
wait "$client" "$server" 2>/dev/null || true
children=()
left=("${at_one[@]}")
right=("${at_one[@]}")
pair ib_write_bw -x 1 -n $few -s 65536

begin
front=$(sed -n 's/.*process \([0-9]*\).*/\1/p' "$directory/up_one.log" | head -1)
[ -n "$front" ] || fail "tideline up does not name its process"
kill -KILL "$front"
ends "$client"
ends "$server"
children=()
echo "all programs have run at front ends"
