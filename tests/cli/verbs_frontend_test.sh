#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# verbs_frontend_test.sh TIDELINE: unmodified programs of libibverbs whose device is a front end's: both at one,
# at two on a shared segment, and with a peer whose engine is in its process; then what happens to programs
# when a peer is killed, and the front end itself.
. "$(dirname "$0")/common.sh"
kind=shm
command -v ib_write_bw >/dev/null || { echo "skipped: needs perftest"; exit 77; }
. "$(dirname "$0")/verbs_pair.sh"

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
export RDMAV_FORK_SAFE=1
pair ib_write_bw -x 1 -n $few -s 65536
unset RDMAV_FORK_SAFE

# A shared receive queue that grows while it is full, and takes from its new room what comes.
cat >"$directory/srq.py" <<'PYTHON'
from pyverbs.addr import AHAttr, GlobalRoute
from pyverbs.cq import CQ
from pyverbs.device import Context
from pyverbs.mr import MR
from pyverbs.pd import PD
from pyverbs.pyverbs_error import PyverbsRDMAError
from pyverbs.qp import QP, QPAttr, QPCap, QPInitAttr
from pyverbs.srq import SRQ, SrqAttr, SrqInitAttr
from pyverbs.wr import SGE, RecvWR, SendWR
import pyverbs.enums as e

context = Context(name="tideline0")
assert context.query_device().device_cap_flags & e.IBV_DEVICE_SRQ_RESIZE
pd, cq = PD(context), CQ(context, 500)
srq = SRQ(pd, SrqInitAttr(SrqAttr(max_wr=16, max_sge=1)))
mr = MR(pd, 4096, e.IBV_ACCESS_LOCAL_WRITE)

def post(first, count):
    for number in range(first, first + count):
        srq.post_recv(RecvWR(wr_id=number, num_sge=1, sg=[SGE(mr.buf + number, 1, mr.lkey)]))

first_room = srq.query().max_wr
post(0, first_room)
try:
    post(first_room, 1)
    raise SystemExit("a full queue takes more")
except PyverbsRDMAError:
    pass
srq.modify(SrqAttr(max_wr=200), e.IBV_SRQ_MAX_WR)
assert srq.query().max_wr >= 200
post(first_room, 200 - first_room)
for wrong in 100, 1 << 30:  # fewer than wait, more than the device has
    try:
        srq.modify(SrqAttr(max_wr=wrong), e.IBV_SRQ_MAX_WR)
        raise SystemExit(f"room for {wrong}")
    except PyverbsRDMAError:
        pass

def pair():
    init = QPInitAttr(qp_type=e.IBV_QPT_RC, scq=cq, rcq=cq, srq=srq, sq_sig_all=0, cap=QPCap(max_send_wr=256, max_recv_wr=0))
    return QP(pd, init, QPAttr(port_num=1))

near, far = pair(), pair()
gid = context.query_gid(1, 1)
for qp, to in (near, far), (far, near):
    attr = QPAttr(port_num=1)
    attr.dest_qp_num, attr.path_mtu = to.qp_num, e.IBV_MTU_1024
    attr.max_rd_atomic = attr.max_dest_rd_atomic = 1
    attr.min_rnr_timer, attr.timeout, attr.retry_cnt, attr.rnr_retry = 12, 14, 7, 7
    attr.ah_attr = AHAttr(port_num=1, is_global=1, gr=GlobalRoute(dgid=gid, sgid_index=1))
    qp.to_rts(attr)
for number in range(200):
    near.post_send(SendWR(num_sge=1, sg=[SGE(mr.buf + 2000, 1, mr.lkey)]))
taken = []
while len(taken) < 200:
    for each in cq.poll(16)[1]:
        assert each.status == e.IBV_WC_SUCCESS, each
        if each.opcode == e.IBV_WC_RECV:
            taken.append(each.wr_id)
assert taken == list(range(200)), taken
for each in near, far, srq, mr, cq, pd, context:
    each.close()
print("grown")
PYTHON
# A program that forks, and starts others, goes on with its memory and its device.
cat >"$directory/fork.py" <<'PYTHON'
import ctypes, os, subprocess
assert ctypes.CDLL("libibverbs.so.1").ibv_fork_init() == 0
from pyverbs.device import Context
from pyverbs.mr import MR
from pyverbs.pd import PD
import pyverbs.enums as e

context = Context(name="tideline0")
pd = PD(context)
mr = MR(pd, 4096, e.IBV_ACCESS_LOCAL_WRITE)
mr.write("parent", 6)
child = os.fork()
if child == 0:
    mr.write("child!", 6)
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert os.system("exit 3") == 3 << 8
subprocess.run(["true"], check=True)
assert mr.read(6, 0) == b"parent"
for each in MR(pd, 8192, e.IBV_ACCESS_LOCAL_WRITE), mr, pd, context:
    each.close()
print("forked")
PYTHON
if /usr/bin/python3 -c 'import pyverbs' 2>/dev/null; then
  timeout -s KILL 60 "$tideline" run "${at_one[@]}" -- /usr/bin/python3 "$directory/fork.py" >"$directory/fork.log" 2>&1 &&
    grep -q forked "$directory/fork.log" || fail "a program with verbs that forks"
  for where in "${at_one[*]}" "${app[*]}"; do
    # shellcheck disable=SC2086
    timeout -s KILL 60 "$tideline" run $where -- /usr/bin/python3 "$directory/srq.py" >"$directory/srq.log" 2>&1 &&
      grep -q grown "$directory/srq.log" || fail "a shared receive queue that grows ($where)"
  done
fi
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
end_by KILL "$client" "$server"
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
