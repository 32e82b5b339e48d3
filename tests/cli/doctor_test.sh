#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# doctor_test.sh TIDELINE [libraries]: `tideline doctor` sees what is here and what is not, and says how to mend it.
# `libraries`: those for unmodified programs are built.
. "$(dirname "$0")/common.sh"

expect 0 'tideline works here' doctor
expect 0 'nobody holds UDP port 4791' doctor
python3 - "$tideline" >"$directory/out.log" 2>&1 <<'HOLDER' || fail "doctor: exit status $?"
import socket, subprocess, sys
holder = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
holder.bind(("::", 4791))
sys.exit(subprocess.run([sys.argv[1], "doctor"]).returncode)
HOLDER
grep -q 'UDP port 4791 of the kernel is held' "$directory/out.log" || fail "doctor does not see port 4791"
status=0
setpriv --bounding-set -all --inh-caps -all "$tideline" doctor >"$directory/out.log" 2>&1 || status=$?
{ [ $status -eq 0 ] && grep -q 'wire tap .*limited .*CAP_NET_ADMIN' "$directory/out.log"; } ||
  fail "doctor without capabilities: exit status $status"
# Where members cannot meet, the default wire is missing: to a user who has no place yet, and can make none.
status=0
unshare --mount env -u XDG_RUNTIME_DIR sh -c '
  mount --bind /tmp /tmp && mount -o remount,bind,ro /tmp
  exec setpriv --reuid 54321 --regid 54321 --clear-groups /proc/self/fd/9 doctor --json' \
  9<"$tideline" >"$directory/out.log" 2>&1 || status=$?
{ [ $status -eq 3 ] && grep -q '"missing"' "$directory/out.log"; } ||
  fail "doctor without a directory: exit status $status"

# The libraries for programs: here; not there; there, but nothing that can be loaded; and less than there should be.
[ "${2:-}" != libraries ] || expect 0 'libraries *good' doctor
mkdir -p "$directory/bin" "$directory/lib/tideline-dropin"
cp "$tideline" "$directory/bin"
tideline=$directory/bin/tideline
refused() { sed -n 's/^libraries *limited *//p' "$directory/out.log"; }
expect 0 "libraries *limited .*libtideline-sockets.so: cannot open" doctor
grep -A 1 '^libraries' "$directory/out.log" | grep -q 'to mend it: .*cmake --build' || fail "doctor has no remedy for libraries"
printf nonsense >"$directory/lib/libtideline-sockets.so"
expect 0 'libtideline-sockets.so: file too short' doctor
if [ "${2:-}" = libraries ]; then
  cp -r "$(dirname "$(realpath "$1")")/../lib/." "$directory/lib"
  expect 0 'libraries *good' doctor
  rm "$directory/lib/tideline-dropin/librdmacm.so.1"
  expect 0 'libraries *limited .*librdmacm.so.1: cannot open' doctor
  [ "$(refused | tr ';' '\n' | wc -l)" -eq 1 ] || fail "doctor names more than the one library that is missing"
fi
echo "doctor sees wires, ports and libraries as they are"
