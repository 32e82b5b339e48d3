#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# perf_test.sh TIDELINE: perf in its three modes between two of ours over shared memory, and with the kernel's sockets
# at either end over TAP; what the JSON says agrees with itself. No figure is judged.
. "$(dirname "$0")/common.sh"
export XDG_RUNTIME_DIR=$directory  # a segment of this test's own

# Runs a client, and checks its JSON object: assertions in Python over `r`.
client() {  # client ASSERTIONS ARGUMENTS...
  local assertions=$1 status=0
  shift
  timeout 60 "$tideline" perf "$@" --json >"$directory/client.log" 2>&1 || status=$?
  [ $status -eq 0 ] || fail "'$*': exit status $status"
  python3 - "$directory/client.log" "$assertions" <<'PYTHON' || fail "'$*'"
import json, sys
r = json.load(open(sys.argv[1]))
assert r["schema"] == 1 and r["command"] == "perf" and r["role"] == "client" and r["ok"], r
assert r["errors"] == 0 and r["bytes"] > 0 and r["seconds"] > 0 and r["cpu_s"] > 0, r
assert abs(r["bytes_per_s"] * r["seconds"] - r["bytes"]) < 1 + r["bytes"] * 1e-6, r
if r["mode"] != "stream":
    l = r["latency"]
    assert 0 < l["min_ns"] <= l["p50_ns"] <= l["p90_ns"] <= l["p99_ns"] <= l["p999_ns"] <= l["max_ns"], l
    per_s = r["requests_per_s" if r["mode"] == "request" else "connections_per_s"]
    assert abs(per_s * r["seconds"] - l["count"]) < 1 and r["bytes"] == l["count"] * 2 * r["size_bytes"], r
assert eval(sys.argv[2]), (sys.argv[2], r)
PYTHON
}

modes() {  # modes ADDRESS ARGUMENTS...
  local address=$1
  shift
  client 'r["size_bytes"] == 131072 and r["server_cpu_s"] > 0' "$address" --duration 0.3 "$@"
  client 'r["streams"] == 3' "$address" --streams 3 --size 5000 --duration 0.3 "$@"
  client 'r["size_bytes"] == 64' "$address" --mode request --duration 0.2 "$@"
  client 'r["size_bytes"] == 200000' "$address" --mode request --size 200000 --streams 4 --duration 0.3 "$@"
  client 'r["latency"]["count"] > 1' "$address" --mode connect --streams 2 --duration 0.3 "$@"
}

start server perf --listen --wire shm:perf
ours=(--wire shm:perf)
modes 198.18.0.1 "${ours[@]}"
modes 2001:db8:18::1 --copy "${ours[@]}"
client '0.95 < r["passes_per_byte"] < 3 and r["cycles_per_byte"] > 0 and r["kernel_copies_per_byte"] == 0' 198.18.0.1 --duration 0.3 "${ours[@]}"
client 'r["congestion"] == "bbr" and r["bytes_per_s"] > 1e6' 198.18.0.1 --congestion bbr --duration 0.5 --impair loss=1%,delay=1ms "${ours[@]}"
client 'r["congestion"] == "dctcp"' 198.18.0.1 --congestion dctcp --duration 0.3 "${ours[@]}"
client 'r["form"] == "tideline" and r["seed"] == 5' 198.18.0.1 --duration 0.5 --impair loss=1%,delay=1ms --seed 5 "${ours[@]}"
stop "$last_child"
echo "two of ours: all modes"

wire=tap:tl0,peer=192.0.2.1/24,peer6=2001:db8::1/64
tap=(--wire "$wire" --ip 192.0.2.2/24)
start server perf --kernel --listen
modes 192.0.2.1 "${tap[@]}"
modes 127.0.0.1 --kernel
client 'r["kernel_copies_per_byte"] >= 1' 2001:db8::1 --wire "$wire" --ip6 2001:db8::2/64 --duration 0.3
stop "$last_child"
start server perf --listen "${tap[@]}"
modes 192.0.2.2 --kernel
client 'r["form"] == "kernel" and r["kernel_copies_per_byte"] >= 1' 192.0.2.2 --kernel --duration 0.3
stop "$last_child"
echo "with the kernel, both ways: all modes"

expect 4 'refuse' perf 192.0.2.1 "${tap[@]}"
expect 4 'refuse' perf 127.0.0.1 --kernel
expect 2 'HOST or --listen' perf --kernel
expect 2 'HOST or --listen' perf 192.0.2.1 --listen --kernel
expect 2 '' perf 192.0.2.1 --mode flood
expect 0 '--streams' perf --help
echo "errors as they should be"
