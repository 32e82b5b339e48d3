#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# verbs_tools_test.sh TIDELINE WIRE: UCX and libfabric, unmodified, over verbs under `tideline run`:
# two processes on a wire (verbs_pair.sh), over GIDs of IPv4 and IPv6. fi_pingpong compares what it
# moves; ucx_perftest cannot.
. "$(dirname "$0")/common.sh"
kind=$2
command -v ucx_perftest >/dev/null || { echo "skipped: needs ucx-utils"; exit 77; }
command -v fi_pingpong >/dev/null || { echo "skipped: needs libfabric-bin"; exit 77; }
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
for transport in rc ud; do
  ucx $transport tag_lat -s 8
  ucx $transport tag_bw -s 100000
  ucx $transport ucp_am_bw -s 5000
  ucx $transport am_lat -s 8
done
ucx rc ucp_put_bw -s 100000
ucx rc ucp_get -s 100000
ucx rc stream_bw -s 1000000
for test in put_lat put_bw; do ucx rc $test -s 8; done
ucx rc get -s 4096 -D zcopy
for test in add_mr fadd cswap; do ucx rc $test; done
export UCX_IB_GID_INDEX=2
ucx rc tag_bw -s 100000
ucx ud tag_bw -s 5000

server_option=-B
client_option=-P
for gid in 1 2; do
  export FI_VERBS_GID_IDX=$gid
  pair fi_pingpong -p verbs -e dgram -I 20 -S 1000 -c
done
echo "all programs have run over $kind"
