#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ecn_test.sh TIDELINE: accurate ECN (RFC 9768) between two of tideline's, and what is left of it with Linux, whose
# ECN is that of RFC 3168: as tshark reads it.
. "$(dirname "$0")/common.sh"
export XDG_RUNTIME_DIR=$directory
cd "$directory"
sysctl -q net.ipv4.tcp_ecn=1

# Reads a capture: one line a frame in `frames`. Once tshark has seen that both know accurate ECN it reads the three
# flags as one number.
read_capture() {  # read_capture FILE
  tshark -n -r "$1" "${check_sums[@]}" -Y tcp -T fields -E separator=, -E occurrence=f -e tcp.flags.syn -e tcp.flags.ack \
    -e ip.src -e tcp.len -e tcp.flags.ae -e tcp.flags.cwr -e tcp.flags.ece -e tcp.flags.ace -e ip.dsfield.ecn \
    -e tcp.options.acc_ecn.ee0b -e _ws.malformed >frames 2>tshark.log || fail "tshark"
  awk -F, '$11 != "" { exit 1 }' frames || fail "tshark finds what is malformed"
}
# The flags and the ECN field that most of those frames have.
expect_flags() {  # expect_flags WHAT CONDITION FLAGS
  local got
  got=$(awk -F, "$2"' { print $5 $6 $7 "," $8 "," $9 }' frames | sort | uniq -c | sort -rn | sed 's/^ *[0-9]* //' | head -1)
  [ "$got" = "$3" ] || fail "$1: $got"
}
measure() {  # measure CAPTURE ADDRESS OPTIONS...
  local capture=$1
  shift
  timeout 60 "$tideline" perf "$@" --mode request --size 5000 --duration 0.05 --capture "$capture" --json >client.log 2>&1 || fail "perf $*"
}

start server perf --listen --wire shm:ecn
measure ours.pcap 198.18.0.1 --wire shm:ecn --congestion dctcp
stop "$last_child"
read_capture ours.pcap
expect_flags "SYN" '$1 && !$2' '111,,2'
expect_flags "SYN-ACK of an ECT(0) SYN" '$1 && $2' '100,,0'
expect_flags "data before any mark" '$4 > 0' ',5,2'
awk -F, '$1 && $2 && $10 == 1 { found = 1 } END { exit !found }' frames || fail "no option in the SYN-ACK"
awk -F, '!$1 && $10 > 1 { found = 1 } END { exit !found }' frames || fail "no option counts bytes"
echo "accurate ECN between two of ours"

tap=(--wire "tap:tl0,peer=192.0.2.1/24" --ip 192.0.2.2/24)
start kernel perf --listen --kernel
measure linux.pcap 192.0.2.1 "${tap[@]}" --congestion dctcp
stop "$last_child"
read_capture linux.pcap
expect_flags "SYN" '$1 && !$2' '111,,2'
expect_flags "SYN-ACK of Linux" '$1 && $2' '001,,0'
expect_flags "data" '$4 > 1000 && $3 == "192.0.2.2"' '000,,2'
awk -F, '$10 != "" { exit 1 }' frames || fail "an option where nobody asked"
echo "fall-back to Linux's ECN"

start server perf --listen "${tap[@]}" --capture served.pcap
timeout 60 "$tideline" perf 192.0.2.2 --kernel --mode request --duration 0.05 --json >client.log 2>&1 || fail "perf --kernel"
stop "$last_child"
read_capture served.pcap
expect_flags "SYN of Linux" '$1 && !$2' '011,,0'
expect_flags "SYN-ACK" '$1 && $2' '001,,0'
echo "Linux's ECN is granted"
