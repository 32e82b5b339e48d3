#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# copy_test.sh TIDELINE WIRE [MEGABYTES]: `tideline copy` between two hosts on a wire (shm, or packet or xdp on a veth of
# the test's own): whatever the size, the file arrives as it is, over IPv4 and IPv6, also where frames are lost; what
# cannot be taken is refused in words, and nothing is left behind. With MEGABYTES, one file of that size, and 100 MB where
# frames are lost.
if [ "$(id -u)" -eq 0 ] && [ -z "${TIDELINE_TEST_MOUNTS:-}" ]; then
  TIDELINE_TEST_MOUNTS=1 exec unshare --mount bash "$0" "$@"
fi
. "$(dirname "$0")/common.sh"
kind=$2
megabytes=${3:-0}
. "$(dirname "$0")/verbs_pair.sh"

unmount_and_finish() {
  for place in "$directory/small" "$inbox"; do
    ! mountpoint -q "$place" || umount -l "$place"
  done
  finish
}
trap unmount_and_finish EXIT

bad_link='loss=1%,delay=100us,reorder=0.5%,dup=0.1%'
inbox=$directory/in
mkdir "$inbox"

# The address of the listener whose log that is, of the IP version, as a target has it.
address_in() {  # address_in LOG 4|6
  local words
  words=$(grep '^ready' "$directory/$1.log")
  if [ "$2" = 4 ]; then
    grep -oE '[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+' <<<"$words" | head -1
  else
    sed -E 's|.* ([0-9a-f:]+)/64.*|[\1]|' <<<"$words"
  fi
}

# A client of its own addresses: several may be on one veth.
clients=10
client() {  # client LOG ARGUMENTS...
  local log=$directory/$1.log wire=("${right[@]}")
  shift
  clients=$((clients + 1))
  [ "$kind" = shm ] || wire=(--wire "$kind:right" --ip "192.0.2.$clients/24" --ip6 "2001:db8::$clients/64")
  timeout -s KILL 120 "$tideline" copy "$@" "${wire[@]}" >"$log" 2>&1
}

# The listener's directory has those files, whole, and nothing else.
only() {  # only NAME...
  local there
  there=$(cd "$inbox" && ls -A)
  [ "$there" = "$(printf '%s\n' "$@" | sort)" ] || fail "the directory has '$there', not '$*'"
}
gone() {  # gone: the directory gets empty soon
  local tries=0
  until [ -z "$(ls -A "$inbox")" ]; do
    [ $((tries += 1)) -le 1000 ] || fail "left behind: $(ls -A "$inbox")"
    sleep 0.02
  done
}

# With holes, so that it costs little where it comes from.
big_file() {  # big_file MEGABYTES
  truncate -s "${1}M" "$2"
  local at
  for at in $(seq 0 37 "$1"); do
    dd if=/dev/urandom of="$2" bs=64K count=3 seek=$((at * 16 + at % 5)) conv=notrunc status=none
  done
  truncate -s "${1}M" "$2"
}

# A link that loses, reorders and repeats, both ways.
bad_link() {  # bad_link MEGABYTES
  local version lossy
  big_file "$1" "$directory/lossy"
  start lossy copy --listen "$inbox" "${left[@]}" --impair "$bad_link" --seed 7
  lossy=$last_child
  for version in 4 6; do
    clients=$((clients + 1))
    client client "$directory/lossy" "$(address_in lossy $version):" --impair "$bad_link" --seed $version --json ||
      fail "copy over a bad link, IPv$version"
    cmp "$directory/lossy" "$inbox/lossy" || fail "another file over a bad link, IPv$version"
    python3 -c 'import json,sys; r=json.load(open(sys.argv[1])); assert r["retransmitted_packets"] > 0 and r["direct_bytes"] == 0, r
print("%.0f MB over a bad link, %s: %.1f MB/s, %d packets sent again, %d timeouts" % (r["bytes"] / 1e6, sys.argv[2], r["bytes_per_s"] / 1e6, r["retransmitted_packets"], r["timeouts"]))' \
      "$directory/client.log" "IPv$version" || fail "a bad link lost nothing"
  done
  kill -INT "$lossy"
  wait "$lossy" || fail "listener of the bad link: exit status $?"
}

if [ "$megabytes" -gt 0 ]; then
  room=$(df --output=avail -m "$directory" | tail -1)
  memory=$(($(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1024))
  if [ "$memory" -gt $((megabytes + 4096)) ] && [ "$(df --output=avail -m /dev/shm | tail -1)" -gt $((megabytes + 2048)) ]; then
    mount -t tmpfs -o size=$((megabytes + 2048))m tmpfs "$inbox"
  elif [ "$room" -le $((megabytes + 2048)) ]; then
    echo "skipped: no room for a file of $megabytes MB"
    exit 77
  fi
  big_file "$megabytes" "$directory/big"
  start listener copy --listen "$inbox" "${left[@]}"
  client client "$directory/big" "$(address_in listener 4):" || fail "copy of $megabytes MB"
  cat "$directory/client.log"
  cmp "$directory/big" "$inbox/big" || fail "another file has arrived"
  stop "$last_child"
  rm "$inbox/big"
  bad_link 100
  exit 0
fi

# Sizes around what packets, frames and windows hold.
sizes='0 1 1023 1024 4095 4096 4097 65535 65536 65537 1048575 1048577 16777217'
[ "$kind" = shm ] || sizes='0 1 4097 65535 65537 1048577'
for size in $sizes; do head -c "$size" /dev/urandom >"$directory/file$size"; done
big_file 100 "$directory/large"

start listener copy --listen "$inbox" "${left[@]}"
listener=$last_child
for version in 4 6; do
  host=$(address_in listener $version)
  names=()
  running=()
  for size in $sizes; do
    # The wire of shared memory has few addresses; on the others a start takes seconds.
    client "client$size" "$directory/file$size" "$host:v$version-$size" --json &
    running+=($!)
    clients=$((clients + 1))
    names+=("v$version-$size")
  done
  for pid in "${running[@]}"; do wait "$pid" || fail "a client of IPv$version: exit status $?"; done
  for size in $sizes; do
    cmp "$directory/file$size" "$inbox/v$version-$size" || fail "$size bytes over IPv$version"
  done
  only "${names[@]}"
  rm "$inbox"/*
done
python3 - "$directory/client65537.log" "$kind" <<'PYTHON' || fail 'the JSON object'
import json, sys
result = json.load(open(sys.argv[1]))
assert result["schema"] == 1 and result["command"] == "copy" and result["ok"], result
assert result["bytes"] == 65537 and len(result["xxh128"]) == 32, result
# Read and checked here, checked and written there; and moved, once past the wire.
assert result["passes_per_byte"] > 2 and result["kernel_copies_per_byte"] >= 2, result
if sys.argv[2] == "shm":
    assert result["direct_bytes"] in (0, 65537) and result["retransmitted_packets"] == 0, result
else:
    assert result["direct_bytes"] == 0, result
PYTHON
echo "sizes $sizes arrive as they are, ${#running[@]} files at a time, over IPv4 and IPv6"

# A file that is there already is replaced, with the permissions of the new one.
echo old >"$inbox/large"
chmod 640 "$directory/large"
client client "$directory/large" "$(address_in listener 4):" || fail "copy of 100 MB"
cmp "$directory/large" "$inbox/large" || fail "100 MB"
[ "$(stat -c %a "$inbox/large")" = 640 ] || fail "permissions $(stat -c %a "$inbox/large")"
rm "$inbox/large"

# What a listener does not take.
refused() {  # refused WORDS ARGUMENTS...
  local status=0 words=$1
  shift
  client client "$@" || status=$?
  [ $status -eq 4 ] || fail "copy $*: exit status $status, not 4"
  grep -q -- "$words" "$directory/client.log" || fail "copy $* does not say '$words'"
}
host=$(address_in listener 4)
mkdir "$inbox/directory"
ln -s /etc/passwd "$inbox/link"
some=$directory/file4097
if [ "$kind" = shm ]; then
  refused 'has a slash' "$some" "$host:../x"
  refused 'has a slash' "$some" "$host:/etc/x"
  refused 'begins with a dot' "$some" "$host:.bashrc"
  refused 'control characters' "$some" "$host:"$'a\nb'
  refused 'a symbolic link has it' "$some" "$host:link"
fi
refused 'a directory has it' "$some" "$host:directory"
rmdir "$inbox/directory"
rm "$inbox/link"
only ''

# A client that is stopped, and one that is killed, leave nothing; the listener goes on.
slow=(--impair rate=80Mbit)
interrupt() {  # interrupt SIGNAL STATUS
  client slow "$directory/large" "$host:slow" "${slow[@]}" &
  local runner=$! pid tries=0 status=0
  until [ -n "$(find "$inbox" -size +1M)" ]; do
    [ $((tries += 1)) -le 1000 ] || fail "nothing arrives"
    sleep 0.02
  done
  pid=$(pgrep -P "$runner" -f 'tideline copy' | head -1)
  pid=$(pgrep -P "$pid" || echo "$pid")
  kill -"$1" "$pid"
  wait "$runner" || status=$?
  [ $status -eq "$2" ] || fail "client after SIG$1: exit status $status, not $2"
}
clients=$((clients + 1))
interrupt INT 1
gone
grep -q 'slow: not taken' "$directory/listener.log" || fail "the listener does not tell of the stopped client"
echo "a stopped client leaves nothing behind"

# The listener finds out by itself, in ten seconds; meanwhile:
clients=$((clients + 1))
interrupt KILL 137

# A disk that gets full meanwhile, in a listener of its own.
mkdir "$directory/small"
mount -t tmpfs -o size=64m tmpfs "$directory/small"
small=("${left[@]}")
[ "$kind" = shm ] || small=(--wire "$kind:left" --ip 192.0.2.3/24 --ip6 2001:db8::3/64)
start full copy --listen "$directory/small" "${small[@]}"
full=$last_child
host=$(address_in full 6)
clients=$((clients + 1))
refused 'no room for 104857600 bytes' "$directory/large" "$host:large"
head -c 40000000 /dev/urandom >"$directory/forty"
clients=$((clients + 1))
client client "$directory/forty" "$host:" --impair rate=200Mbit &
pid=$!
tries=0
until [ -n "$(find "$directory/small" -size +1M)" ]; do
  [ $((tries += 1)) -le 1000 ] || fail "nothing arrives on the small disk"
  sleep 0.02
done
! head -c 100000000 /dev/zero >"$directory/small/filler" 2>/dev/null || fail "the small disk did not get full"
status=0
wait $pid || status=$?
{ [ $status -eq 4 ] && grep -q 'No space left' "$directory/client.log"; } || fail "a full disk: exit status $status"
[ "$(ls -A "$directory/small")" = filler ] || fail "left on the full disk: $(ls -A "$directory/small")"
rm "$directory/small/filler"
clients=$((clients + 1))
client client "$some" "$host:" || fail "copy after the disk was full"
cmp "$some" "$directory/small/$(basename "$some")" || fail "the file after the disk was full"
echo "a full disk is told, and the listener goes on"

# A listener that is killed: its client finds out.
clients=$((clients + 1))
client orphan "$directory/forty" "$host:orphan" "${slow[@]}" &
orphan=$!
until [ -n "$(find "$directory/small" -name '.tideline*' -size +1M)" ]; do
  kill -0 $orphan || fail "the client has ended"
  sleep 0.02
done
kill -KILL "$full"
status=0
wait "$full" || status=$?
[ $status -eq 137 ] || fail "the listener had ended with $status"
status=0
wait $orphan || status=$?
[ $status -eq 4 ] || fail "a client without its listener: exit status $status, not 4"
echo "a client without its listener: $(tail -1 "$directory/orphan.log")"

gone
host=$(address_in listener 4)
clients=$((clients + 1))
client client "$some" "$host:" || fail "copy after a client was killed"
kill -INT "$listener"
wait "$listener" || fail "listener: exit status $?"
cmp "$some" "$inbox/$(basename "$some")" || fail "the file after a client was killed"
only "$(basename "$some")"
rm "$inbox"/*
echo "a killed client leaves nothing behind, and the listener goes on"

bad_link 8
