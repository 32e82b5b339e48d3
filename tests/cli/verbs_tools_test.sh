#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# verbs_tools_test.sh TIDELINE WIRE [all]: UCX, libfabric and qperf, unmodified, over verbs under `tideline run`:
# two processes on a wire (verbs_pair.sh), over GIDs of IPv4 and IPv6. fi_pingpong compares what it
# moves, qperf what its atomics leave behind; ucx_perftest cannot. On wires whose addresses are tested for duplicates, a second or two each time, only
# what is large, unless `all` is said.
. "$(dirname "$0")/common.sh"
kind=$2
command -v ucx_perftest >/dev/null || { echo "skipped: needs ucx-utils"; exit 77; }
command -v fi_pingpong >/dev/null || { echo "skipped: needs libfabric-bin"; exit 77; }
command -v qperf >/dev/null || { echo "skipped: needs qperf"; exit 77; }
. "$(dirname "$0")/verbs_pair.sh"

export UCX_NET_DEVICES=tideline0:1 UCX_HANDLE_ERRORS=none
ucx() {  # ucx TRANSPORT TEST ARGUMENTS...: rc or ud; UCT's tests name device and transport, UCP's do not
  local transport=$1 test=$2
  shift 2
  # UCX makes its RC connections over UD.
  export UCX_TLS=${transport}_v,self
  case $test in
    ucp_*|tag_*|stream_*) pair ucx_perftest -t "$test" -n 20 -w 2 "$@" ;;
    *) pair ucx_perftest -t "$test" -n 20 -w 2 -d tideline0:1 -x "${transport}_verbs" "$@" ;;
  esac
  grep -q '^Final: *20 ' "$directory/client.log" || fail "$transport $test has no result"
  grep -q ' ERROR ' "$directory"/{client,server}.log && fail "$transport $test complains"
  return 0
}

export UCX_IB_GID_INDEX=1
ucx rc stream_bw -s 1000000
ucx ud tag_bw -s 100000
if [ "$kind" = shm ] || [ "${3:-}" = all ]; then
  for transport in rc ud; do
    for test in tag_lat ucp_am_lat am_lat; do ucx $transport $test -s 8; done
    ucx $transport ucp_am_bw -s 5000
  done
  for test in ucp_put_bw ucp_get tag_bw; do ucx rc $test -s 100000; done
  for test in put_lat put_bw add_mr fadd cswap; do ucx rc $test -s 8; done
  ucx rc get -s 4096 -D zcopy
fi
export UCX_IB_GID_INDEX=2
ucx rc tag_bw -s 100000
ucx ud tag_bw -s 5000

server_option=-B
client_option=-P
for gid in 1 2; do
  export FI_VERBS_GID_IDX=$gid
  pair fi_pingpong -p verbs -e dgram -I 20 -S 1000 -c
done
# qperf names its peer by LID; its server forks a child for each test, which opens the device. A test takes
# a second, which is the least that qperf knows.
qperf() {  # qperf FORM TESTS...: FORM is the command that the program is put behind
  local form=$1
  shift
  port=$((port + 1))
  "$tideline" run "${left[@]}" -- $form qperf -lp $port >"$directory/server.log" 2>&1 &
  local server=$!
  children=("$server")
  wait_for_listener $port "$server" qperf
  for test in "$@"; do
    local size=(-m 1024) figures=1
    case $test in
      uc_*bw | ud_*bw) figures=2 ;;
      *_mr | ver_*) size=() ;;
    esac
    timeout -s KILL 60 "$tideline" run "${right[@]}" -- $form qperf -lp $port -t 1 -mt 1024 "${size[@]}" localhost $test \
      >"$directory/client.log" 2>&1 || fail "qperf $test"
    [ "$(grep -Ec ' = +[1-9][0-9.]* [^ ]+$' "$directory/client.log")" = $figures ] || fail "qperf $test has no result"
  done
  command qperf -lp $port localhost quit >/dev/null 2>&1
  wait "$server" || fail "server of qperf"
  children=()
}
few=(rc_bw rc_rdma_read_lat ver_rc_compare_swap ud_lat)
if [ "$kind" = shm ] || [ "${3:-}" = all ]; then
  qperf '' "${few[@]}" rc_bi_bw rc_lat rc_rdma_read_bw rc_rdma_write_{bw,lat,poll_lat} rc_compare_swap_mr rc_fetch_add_mr \
    ver_rc_fetch_add uc_{bi_bw,bw,lat} uc_rdma_write_{bw,lat,poll_lat} ud_{bi_bw,bw}
else
  qperf '' "${few[@]}"
fi
qperf 'env -u LD_PRELOAD' rc_lat ud_bw  # the libraries on the library path alone
echo "all programs have run over $kind"
