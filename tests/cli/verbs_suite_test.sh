#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# verbs_suite_test.sh TIDELINE: the tests of rdma-core for its Python binding, as Debian ships them,
# under `tideline run`: every kind of object, its queries, its errors, and traffic whose content they
# compare, between queue pairs of one process; over GIDs of IPv4 and IPv6.
. "$(dirname "$0")/common.sh"
export XDG_RUNTIME_DIR=$directory
source=/usr/share/doc/rdma-core/tests
python=/usr/bin/python3  # Debian's: what python3-pyverbs is for
[ -e $source/run_tests.py ] && $python -c 'import pyverbs' 2>/dev/null ||
  { echo "skipped: needs python3-pyverbs with its documentation"; exit 77; }

mkdir "$directory/tests"
cp $source/* "$directory/tests"
gunzip "$directory"/tests/*.gz
# It asks for huge pages, which the machine may not have.
sed -i 's/def test_huge_page_traffic/def without_huge_pages/' "$directory"/tests/*.py
wanted=()
for part in addr atomic cq cq_events cqex device fork mr parent_domain pd qp qpex relaxed_ordering; do
  wanted+=(-k "test_$part.")
done
for gid in 1 2; do
  timeout -s KILL 100 "$tideline" run --wire shm:suite -- $python "$directory/tests/run_tests.py" \
    --dev tideline0 --gid $gid -v "${wanted[@]}" >"$directory/suite.log" 2>&1 ||
    fail "exit status $?: $(grep -E '^(FAIL|ERROR): ' "$directory/suite.log")"
  passed=$(grep -c '\.\.\. ok$' "$directory/suite.log") || fail "no test has passed"
  [ "$passed" -ge 75 ] || fail "only $passed tests have run and passed"
done
echo "$passed tests of rdma-core have passed"
