#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# more_programs_test.sh TIDELINE SOCKET_CHECK app|frontend: as sockets_test.sh and frontend_test.sh, with programs that
# call what those do not: threads with an epoll instance each, UDP with its every answer checked, HTTP/2, streams of
# the C library's on sockets. Tideline to tideline, IPv4 and IPv6.
. "$(dirname "$0")/common.sh"
case "$3" in
  app) kind=shm ;;  # as socket_programs.sh knows it
  frontend) kind=frontend ;;
esac
export XDG_RUNTIME_DIR=$directory
. "$(dirname "$0")/socket_programs.sh"

# Values of many sizes, from several connections at once.
cat >ask_memcached.py <<'PYTHON'
import hashlib, socket, sys, threading

def value(name, size):
    return hashlib.shake_128(name.encode()).digest(size)

def client(address, number):
    with socket.create_connection((address, 11211)) as connection:
        stream = connection.makefile("rwb")
        for round in range(40):
            name = f"{number}-{round}"
            data = value(name, (round * 7919) % 20000 if round else 900_000)
            stream.write(f"set {name} 0 0 {len(data)}\r\n".encode() + data + b"\r\n")
            stream.flush()
            assert stream.readline() == b"STORED\r\n", name
        for round in range(40):
            name = f"{number}-{round}"
            stream.write(f"get {name}\r\n".encode())
            stream.flush()
            size = int(stream.readline().split()[3])
            assert stream.read(size) == value(name, size), name
            assert stream.read(7) == b"\r\nEND\r\n", name
        done.append(number)

done = []
threads = [threading.Thread(target=client, args=(sys.argv[1], number)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
sys.exit(0 if len(done) == len(threads) else 1)
PYTHON
check_memcached() {
  serve 11211 memcached -u root -t 4 -l 0.0.0.0,:: -p 11211 -U 0
  local address
  for address in "$address4" "$address6"; do
    client $python ask_memcached.py "$address" || fail "memcached at $address"
  done
  end TERM 0
  said "memcached with 4 threads, 8 clients' values compared, IPv4 and IPv6"
}

check_h2load() {
  nginx_conf
  sed -i 's/listen 8080; listen \[::\]:8080;/listen 8080 http2; listen [::]:8080 http2;/' nginx.conf
  serve 8080 nginx -c "$directory/nginx.conf"
  client nghttp "http://$address4:8080/large" | cmp - large || fail "nghttp"
  local address
  for address in "$address4" "[$address6]"; do
    client h2load -n 1000 -c 20 -m 10 "http://$address:8080/small" >h2load.log || fail "h2load"
    grep -q '1000 succeeded, 0 failed, 0 errored' h2load.log || fail "h2load: $(cat h2load.log)"
  done
  end QUIT 0
  said "nginx with HTTP/2; nghttp, h2load with 20 connections of 10 streams, IPv4 and IPv6"
}

# Its control connection is its standard input and output. It becomes a daemon, which does not say its address.
check_nuttcp() {
  local words
  for words in -4 "-4 -r" -6; do
    "$tideline" run "${ours[@]}" -- nuttcp "${words%% *}" -1 >server.out 2>server.log &
    server=$!
    children+=("$server")
    local to=$address4 tries=0
    [ "$words" != -6 ] || to=$address6
    until ss -Hltn "sport = :5000" | grep -q .; do
      [ $((tries += 1)) -le 1000 ] || fail "nuttcp does not listen"
      sleep 0.02
    done
    # shellcheck disable=SC2086
    client nuttcp $words -T 1 -fparse "$to" >nuttcp.log || fail "nuttcp $words"
    grep -qE 'megabytes=[0-9.]*[1-9]' nuttcp.log || fail "nuttcp $words: $(cat nuttcp.log)"
    wait "$server" || fail "nuttcp -1 ended with $?"
    children=()
  done
  said "nuttcp, both ways, IPv4 and IPv6"
}

if [ "$3" = app ]; then
  ours=()
  as_client=("$tideline" run --)
else
  cat >servers.toml <<'TOML'
name = "servers"
[[host]]
name = "lan"
wire = "shm:more"
ip = "192.0.2.1/24"
ip6 = "2001:db8::1/64"
[policy]
admit = true
TOML
  "$tideline" up --config servers.toml >up.log 2>&1 || fail "tideline up"
  "$tideline" up --name clients --wire shm:more --ip 192.0.2.2/24 --ip6 2001:db8::2/64 >>up.log 2>&1 || fail "tideline up"
  ours=(--placement frontend --name servers)
  as_client=("$tideline" run --placement frontend --name clients --)
  address4=192.0.2.1
  address6=2001:db8::1
fi
check_memcached
check_sockperf
check_h2load
[ "$3" = app ] || check_nuttcp
