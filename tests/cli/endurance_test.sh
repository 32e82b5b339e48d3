#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# endurance_test.sh TIDELINE SOCKET_LOAD [--long]: one front end and very many clients, connections up to the limit of
# descriptors, clients that are stopped, killed, and come and go; then the front end itself is killed. Whoever is
# left must not notice, and what the front end holds must come back to what it was. Then two programs with engines of
# their own, and as many connections. --long: as many connections as
# the hard limit allows, clients are stopped for a minute, ten minutes of coming and going. SOCKET_LOAD_SEED is the
# seed, else the time.
. "$(dirname "$0")/common.sh"
load=$(realpath "$2")
limit=4000
stopped=3
churned=3
case "${3:-}" in
  '') ;;
  --long) limit=$(ulimit -Hn) stopped=60 churned=600 ;;
  *) fail "unknown option '$3'" ;;
esac
ulimit -Sn "$limit"
seed=${SOCKET_LOAD_SEED:-$(date +%s)}
export XDG_RUNTIME_DIR=$directory
cd "$directory"
python=/usr/bin/python3

cat >front.toml <<'TOML'
name = "front"
[[host]]
name = "lan"
wire = "shm:endurance"
ip = "192.0.2.1/24"
ip6 = "2001:db8::1/64"
connections = 131072
[policy]
admit = true
sockets = 65535
memory = "32GiB"
processes = 2000
descriptors = 18000
TOML

up() {
  "$tideline" up --config front.toml >up.log 2>&1 || fail "tideline up"
  front=$(sed -n 's/^ready: .*process \([0-9]*\).*/\1/p' up.log)
}

run() { "$tideline" run --placement frontend --name front -- "$load" "$@"; }
address_of() { if [ "$1" = 4 ]; then echo 192.0.2.1; else echo 2001:db8::1; fi; }

# A server for each version; the port says which.
serve() {
  local version
  for version in 4 6; do
    "$tideline" run --placement frontend --name front -- "$load" serve "$(address_of $version)" 500$version \
      2>"server$version.log" &
    children+=($!)
    disown $!  # the shell says nothing of its end
    local tries=0
    until run transfer "$(address_of $version)" 500$version 100 1 2>client.log; do
      [ $((tries += 1)) -le 100 ] || fail "the server does not serve"
      sleep 0.05
    done
  done
}
transfer() {  # transfer VERSION BYTES SEED
  run transfer "$(address_of "$1")" "500$1" "$2" "$3" 2>>client.log || fail "a transfer of $2 bytes"
}

# Starts `socket_load WORDS...` behind a pipe that end_input closes; waits until it says WORD.
begin() {  # begin WORD WORDS...
  local word=$1 tries=0
  shift
  rm -f input
  mkfifo input
  "$tideline" run --placement frontend --name front -- "$load" "$@" <input >load.out 2>load.log &
  loading=$!
  children+=("$loading")
  exec 7>input
  until grep -q "$word" load.out; do
    kill -0 "$loading" 2>/dev/null || fail "'$*' has ended"
    [ $((tries += 1)) -le 3000 ] || fail "'$*' does not get ready"
    sleep 0.02
  done
}
end_input() {
  exec 7>&-
  wait "$loading" || fail "what was loading ended with $?"
  unset 'children[-1]'
}

status() { "$tideline" status --name front --json --interval 0.01 >status.json || fail "tideline status"; }
check() {  # check WHAT CODE: of p, the front end
  status
  $python - "$2" <<'PYTHON' || fail "$1: $(cat status.json)"
import json, sys
p = json.load(open("status.json"))["processes"][0]
exec(sys.argv[1])
PYTHON
}

# What the front end has, with the servers as its only clients: descriptors, clients, sockets and buffers. Connections
# in TIME-WAIT are TCP's to keep.
take_stock() {
  status
  { ls "/proc/$front/fd" | wc -l
    $python - <<'PYTHON'
import json
p = json.load(open("status.json"))["processes"][0]
print(*((c["pid"], c["sockets"], c["memory"]) for c in sorted(p["clients"]["list"], key=lambda c: c["pid"])))
print([c for c in p["tcp"]["connections"] if c["state"] != "TIME_WAIT"])
PYTHON
  } >stock
}
# Resident memory in KiB, of the front end.
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$front/status"; }

back_to_stock() {  # back_to_stock AFTER WHAT
  local tries=0
  until cp stock before; take_stock; cmp -s stock before; do
    cp before stock
    [ $((tries += 1)) -le 200 ] || fail "after $*, the front end does not have what it had: $(diff before stock; cat status.json)"
    sleep 0.05
  done
}

check_a_crowd() {
  begin ready crowd 192.0.2.1 5004 1000 20000
  check "a thousand clients" 'assert p["clients"]["count"] == 1002, p["clients"]["count"]'
  transfer 6 1000000 1
  end_input
  back_to_stock "a thousand clients"
  echo "1,000 clients at once, each with its data"
}

check_the_limit() {
  begin connections hold 2001:db8::1 5006
  local held
  held=$(sed -n 's/ connections//p' load.out)
  [ "$held" -gt $((limit - 100)) ] || fail "$held connections of $limit"
  grep -q "RLIMIT_NOFILE is $limit" load.log || fail "the limit is not told"
  check "status at the limit" 'assert any(c["sockets"] >= '"$((held - 64))"' and c["descriptor_limit"] == '"$limit"' for c in p["clients"]["list"])
assert p["tcp"]["most"] == 131072'
  transfer 4 1000000 2
  end_input
  back_to_stock "$held connections"
  echo "$held connections of one process, which may have $limit descriptors"
}

check_a_stopped_client() {
  begin ready crowd 192.0.2.1 5004 3 2000000
  local clients
  clients=$(pgrep -P $loading)
  # shellcheck disable=SC2086
  kill -STOP $clients
  local end=$((SECONDS + stopped)) number=0
  while [ $SECONDS -lt $end ]; do
    transfer 4 3000000 $((number += 1))
    transfer 6 3000000 $number
  done
  # shellcheck disable=SC2086
  kill -CONT $clients
  end_input
  back_to_stock "stopped clients"
  echo "clients that are stopped for $stopped s, and go on; $((2 * number)) transfers beside them"
}

check_churn() {  # check_churn SECONDS: the first round makes room for what later ones use again
  echo "seed $seed"
  local seconds
  local before=
  for seconds in 1 $churned; do
    run churn 192.0.2.1 5004 "$seconds" $seed >churn4.out 2>churn4.log &
    local four=$!
    children+=($four)
    run churn 2001:db8::1 5006 "$seconds" $((seed + 1)) >churn6.out 2>churn6.log || fail "churn over IPv6"
    wait $four || fail "churn over IPv4"
    unset 'children[-1]'
    back_to_stock "churn"
    if [ -z "$before" ]; then before=$(resident); fi
  done
  local after
  after=$(resident)
  echo "clients that come, go, fork and are killed: $(tail -n 1 churn4.out), $(tail -n 1 churn6.out); resident memory $before KiB, then $after KiB"
  # TIME-WAIT of more connections than before may take more.
  [ "$after" -le $((before + before / 4 + 8192)) ] || fail "memory has grown from $before to $after KiB"
}

# Clients are told at once; what comes afterwards starts anew.
check_the_end() {
  run churn 192.0.2.1 5004 60 $seed >churn4.out 2>churn4.log &
  local clients=$!
  children+=($clients)
  transfer 6 1000000 3
  kill -KILL "$front"
  ! wait $clients || fail "clients have not noticed that the front end is gone"
  unset 'children[-1]'
  local tries=0
  local here=(pgrep -a --ns $$ --nslist net -f "^$load")
  while "${here[@]}" >load.log; do
    [ $((tries += 1)) -le 500 ] || fail "clients of a front end that is gone are still there"
    sleep 0.02
  done
  children=()
  up
  serve
  transfer 4 1000000 4
  echo "the front end is killed: its clients end, and the next serves"
}

# An engine in each program, which has the limit's connections too.
check_engines_in_programs() {
  local address=2001:db8::9 tries=0
  local far=("$tideline" run --wire shm:alone --ip6 $address/64 -- "$load" serve $address 5007)
  local near=("$tideline" run --wire shm:alone --ip6 2001:db8::8/64 -- "$load")
  "${far[@]}" 2>far.log &
  local server=$!
  children+=($server)
  until "${near[@]}" transfer $address 5007 100 1 2>client.log; do
    [ $((tries += 1)) -le 100 ] || fail "the server does not serve"
    sleep 0.05
  done
  "${near[@]}" hold $address 5007 </dev/null >load.out 2>load.log || fail "connections of two programs"
  local held
  held=$(sed -n 's/ connections//p' load.out)
  [ "$held" -gt $((limit - 100)) ] || fail "$held connections of $limit"
  end_by TERM $server
  unset 'children[-1]'
  echo "$held connections between engines in two programs"
}

up
serve
take_stock
check_a_crowd
check_the_limit
check_a_stopped_client
check_churn
check_the_end
check_engines_in_programs
