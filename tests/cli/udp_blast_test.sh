#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# udp_blast_test.sh TIDELINE: udp-blast between two of ours over a good and a bad wire, and with the kernel's sockets at
# the other end, both ways, over both IP versions, with datagrams from 1 byte to 65507.
. "$(dirname "$0")/common.sh"
export XDG_RUNTIME_DIR=$directory  # a segment of this test's own

# Sends, and checks the JSON object of the sender: assertions in Python over `r`, the result, and `s`, the sink's part.
blast() {  # blast STATUS ASSERTIONS ARGUMENTS...
  local status=0 wanted=$1 assertions=$2
  shift 2
  timeout 30 "$tideline" udp-blast "$@" --json >"$directory/blast.log" 2>&1 || status=$?
  [ $status -eq "$wanted" ] || fail "'$*': exit status $status, not $wanted"
  python3 - "$directory/blast.log" "$assertions" <<'PYTHON' || fail "'$*'"
import json, sys
r = json.load(open(sys.argv[1]))
s = r["sink"]
assert r["schema"] == 1 and r["command"] == "udp-blast" and r["role"] == "sender", r
assert r["form"] in ("tideline", "kernel") and r["ok"] == (r["lost"] == 0), r
assert r["sent"] == s["datagrams"] + s["lost"] and r["lost"] == s["lost"], r
assert s["bytes"] == s["datagrams"] * r["size_bytes"], r
for key in ("seconds", "bytes_per_s", "packets_per_s", "cpu_s", "passes_per_byte", "kernel_copies_per_byte"):
    assert r[key] >= 0 and s[key] >= 0, (key, r)
assert r["drops"] is not None and s["unsorted"] == 0 and s["jitter_ns"] >= 0, r
assert eval(sys.argv[2]), (sys.argv[2], r)
PYTHON
}
all='r["lost"] == 0 and s["duplicates"] == 0 and s["reordered"] == 0'

# Two of ours. This wire tells the sender how much room it has, so that nothing is lost at full speed.
start sink udp-blast --listen --count 6 --wire shm:blast --ip 192.0.2.1/24 --ip6 2001:db8::1/64
ours=(--wire shm:blast --ip 192.0.2.2/24 --ip6 2001:db8::2/64)
blast 0 "$all and r['sent'] == 100000 and r['offload'].startswith('uso')" 192.0.2.1 --count 100000 "${ours[@]}"
blast 0 "$all and r['sent'] == 20000 and r['offload'] == 'none'" 2001:db8::1 --count 20000 --no-gso "${ours[@]}"
blast 0 "$all and 0.2 <= r['seconds'] < 2 and r['bytes_per_s'] < 20e6" 192.0.2.1 --duration 0.3 --rate 100Mbit \
  "${ours[@]}"
# What the wire loses on purpose, while data is sent, is what the sink misses, but for what else a host says meanwhile:
# it solicits neighbours and routers, and reports its groups.
lossy='0 <= r["dropped_while_sending"] - r["lost"] <= 3 and 300 < r["lost"] < 700 and r["seed"] == 7'
blast 1 "$lossy" 192.0.2.1 --count 10000 --impair loss=5% --seed 7 "${ours[@]}"
blast 1 "$lossy" 2001:db8::1 --count 10000 --impair loss=5% --seed 7 "${ours[@]}"
blast 0 'r["lost"] == 0 and s["duplicates"] > 20 and s["reordered"] > 20' 192.0.2.1 --count 3000 \
  --rate 100Mbit --impair delay=5ms,reorder=2%,dup=2% --seed 7 "${ours[@]}"
wait "$last_child" && fail "the sink does not say that datagrams were lost"
grep -q '\[2001:db8::2\]:' "$directory/sink.log" || fail "the sink does not name its sender"
children=()
echo "two of ours: nothing lost on a good wire; on a bad one exactly what it lost"

# The kernel's sockets as the sink, then as the sender.
wire=tap:tl0,peer=192.0.2.1/24,peer6=2001:db8::1/64
ip4="--ip 192.0.2.2/24"
ip6="--ip6 2001:db8::2/64"  # apart: its test for duplicates takes a second
start sink udp-blast --kernel --listen --count 10
for size in 1 23 24 1400 1472 1473 65507; do
  blast 0 "$all and r['sent'] == 300" 192.0.2.1 --size $size --count 300 --rate 500Mbit --wire $wire $ip4
done
for size in 1 1400 65507; do
  blast 0 "$all and r['sent'] == 300" 2001:db8::1 --size $size --count 300 --rate 500Mbit --wire $wire $ip6
done
wait "$last_child" || fail "the kernel's sink: exit status $?"
start sink udp-blast --listen --count 10 --wire $wire $ip4 $ip6
# Fragments of 65507 bytes fill the usual queue with eleven datagrams, which a busy machine may be late to read.
ip link set tl0 txqueuelen 20000
for size in 1 23 24 1400 1472 1473 65507; do
  blast 0 "$all and r['sent'] == 300 and r['form'] == 'kernel'" 192.0.2.2 --kernel --size $size --count 300 --rate 500Mbit
done
for size in 1 1400 65507; do
  blast 0 "$all and r['sent'] == 300" 2001:db8::2 --kernel --size $size --count 300 --rate 500Mbit
done
wait "$last_child" || fail "the sink: exit status $?"
children=()
echo "with the kernel, both ways: nothing lost"

# Nobody listens, and what makes no sense.
expect 4 'no sink' udp-blast 192.0.2.1 --wire $wire $ip4
expect 4 'no sink' udp-blast 127.0.0.1 --kernel
expect 2 'HOST or --listen' udp-blast --kernel
expect 2 'HOST or --listen' udp-blast 192.0.2.1 --listen --kernel
expect 2 'no rate' udp-blast 192.0.2.1 --kernel --rate fast
expect 2 '' udp-blast 192.0.2.1 --kernel --size 65508
expect 0 '--no-gso' udp-blast --help
echo "errors as they should be"
