# SPDX-License-Identifier: Apache-2.0
# For tests of verbs programs, after common.sh and with the wire in $kind: shm, or packet or xdp on a
# veth of the test's own. Two hosts on it, and pair() to run a program on each.
export XDG_RUNTIME_DIR=$directory  # segments of this test's own

left=(--wire shm:verbs)
right=(--wire shm:verbs)
if [ "$kind" != shm ]; then
  ip link add left type veth peer name right
  for side in left right; do
    ethtool -K $side tx off >/dev/null
    ip link set $side mtu 4400 up
  done
  left=(--wire "$kind:left" --ip 192.0.2.1/24 --ip6 2001:db8::1/64)
  right=(--wire "$kind:right" --ip 192.0.2.2/24 --ip6 2001:db8::2/64)
fi

port=20000
server_option=-p  # that names the port
client_option=-p
# Server and client of one program, the client on this host's loopback for the exchange of addresses.
pair() {  # pair PROGRAM ARGUMENTS...
  port=$((port + 1))
  "$tideline" run "${left[@]}" -- "$@" $server_option $port >"$directory/server.log" 2>&1 &
  local server=$! tries=0
  children=("$server")
  until ss -Hltn "sport = :$port" | grep -q .; do
    kill -0 "$server" 2>/dev/null || fail "the server of '$*' has ended"
    [ $((tries += 1)) -le 1000 ] || fail "the server of '$*' does not listen"
    sleep 0.02
  done
  timeout -s KILL 60 "$tideline" run "${right[@]}" -- "$@" $client_option $port localhost >"$directory/client.log" 2>&1 ||
    fail "client of '$*'"
  wait "$server" || fail "server of '$*'"
  children=()
}
