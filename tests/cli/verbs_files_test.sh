#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# verbs_files_test.sh TIDELINE: what programs under `tideline run` find in /sys and /dev, each by
# calls of its own: shell, coreutils, Python, UCX, libfabric.
. "$(dirname "$0")/common.sh"
export XDG_RUNTIME_DIR=$directory
sys=/sys/class/infiniband/tideline0

run() { timeout 60 "$tideline" run --wire shm:files -- "$@" 2>>"$directory/err.log"; }
expect_text() {  # expect_text WANTED COMMAND...
  local wanted=$1 got
  shift
  got=$(run "$@") || fail "'$*': exit status $?"
  [[ $got == $wanted ]] || fail "'$*' says '$got', not '$wanted'"
}

expect_text tideline0 ls /sys/class/infiniband
expect_text $'ndevs\ntypes' ls "$sys/ports/1/gid_attrs"
expect_text '4: ACTIVE' cat "$sys/ports/1/state"
expect_text '*:ffff:c612:*' cat "$sys/ports/1/gids/1"
expect_text 'RoCE v2' head -1 "$sys/ports/1/gid_attrs/types/1"
expect_text 'character special file' stat -c %F /dev/infiniband/uverbs0
expect_text "$sys/device" realpath "$sys/ports/../device/"
expect_text '-1 yes' bash -c "read -r node <$sys/device/numa_node; [ -r $sys/fw_ver ] && echo \$node yes"
run cat "$sys/ports/1/gid_attrs/types/31" >/dev/null && fail "a GID that is not there has a type"
run cat "$sys/no_such_file" >/dev/null && fail "a file that is not there was read"
run bash -c "echo 1 >$sys/node_desc" && fail "a file was written"

# The two libraries of one process, that of the preload and that of the library path, have one
# engine, and what the file says is what the verb says.
cat >"$directory/both.py" <<'PYTHON'
import ctypes, os
own = ctypes.CDLL("libibverbs.so.1")  # by dlopen: past the preload
assert "tideline-dropin" in open("/proc/self/maps").read()
own.ibv_get_device_list.restype = ctypes.POINTER(ctypes.c_void_p)
own.ibv_open_device.restype = ctypes.c_void_p
own.ibv_open_device.argtypes = [ctypes.c_void_p]
own.ibv_query_gid.argtypes = [ctypes.c_void_p, ctypes.c_ubyte, ctypes.c_int, ctypes.c_void_p]
context = own.ibv_open_device(own.ibv_get_device_list(None)[0])
gid = (ctypes.c_ubyte * 16)()
assert own.ibv_query_gid(context, 1, 1, gid) == 0
path = "/sys/class/infiniband/" + os.listdir("/sys/class/infiniband")[0] + "/ports/1/gids/1"
with open(path) as file:
    assert file.read().strip().replace(":", "") == bytes(gid).hex()
assert os.stat(path).st_size == 4096 and os.access(path, os.R_OK) and not os.access(path, os.W_OK)
assert [entry.name for entry in os.scandir("/dev/infiniband")] == ["uverbs0"]
PYTHON
run python3 "$directory/both.py" || fail "the two libraries do not agree"

# The command that says it all at once.
timeout 60 "$tideline" devices --wire shm:files --json >"$directory/devices.json" 2>"$directory/err.log" ||
  fail devices
python3 - "$directory/devices.json" <<'PYTHON' || fail "devices --json"
import json, sys
answer = json.load(open(sys.argv[1]))
device = answer["devices"][0]
assert answer["ok"] and device["name"] == "tideline0" and device["port"]["active"]
gids = device["port"]["gids"]
assert [gid["gid"].split(":")[0] for gid in gids] == 2 * ["fe80", "", "2001"], gids
assert [gid["type"] for gid in gids] == 3 * ["RoCE v2"] + 3 * ["RoCE v1"], gids
PYTHON
timeout 60 "$tideline" devices --wire shm:files >"$directory/devices.log" 2>&1 || fail devices
grep -q 'max_qp  *16384' "$directory/devices.log" || fail "devices does not tell its limits"

run ucx_info -d >"$directory/ucx.log" || fail ucx_info
for transport in rc_verbs ud_verbs; do
  grep -A1 "Transport: $transport" "$directory/ucx.log" | grep -q tideline0:1 ||
    fail "UCX does not find $transport"
done
run fi_info -p verbs >"$directory/fi.log" || fail fi_info
grep -q 'domain: tideline0-dgram' "$directory/fi.log" || fail "libfabric does not find the device"
echo "the files are as programs look for them"
