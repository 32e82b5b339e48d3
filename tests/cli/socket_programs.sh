# SPDX-License-Identifier: Apache-2.0
# For tests of sockets: unmodified programs, a function each, with real data compared. Sourced behind
# common.sh with SOCKET_CHECK as $2. `kind` says what is tested, `ours` are the options of `tideline run`
# for servers, `as_client` the words in front of clients; `address4` and `address6` the servers' addresses.
socket_check=$(realpath "$2")
cd "$directory"
python=/usr/bin/python3

# Random, so that nothing but the file itself compares equal.
head -c 20000000 /dev/urandom >large
head -c 1000 /dev/urandom >small

said() { echo "$kind: $*"; }

# Starts a server of ours and waits until it listens on the port: its kernel half does, too. `server` is
# its process, `address4` and `address6` its addresses, $input its input.
serve() {  # serve PORT PROGRAM...
  local port=$1 tries=0
  shift
  "$tideline" run "${ours[@]}" -- "$@" <"${input:-/dev/null}" >server.out 2>server.log &
  server=$!
  children+=("$server")
  until ss -Hltn "sport = :$port" | grep -q .; do
    kill -0 "$server" 2>/dev/null || fail "'$*' has ended"
    [ $((tries += 1)) -le 1000 ] || fail "'$*' does not listen"
    sleep 0.02
  done
  if [ "$kind" = shm ]; then  # each program has addresses of its own
    address4=$(sed -n 's/^tideline: \([0-9.]*\) and .* leased.*/\1/p' server.log)
    address6=$(sed -n 's/^tideline: .* and \([0-9a-f:]*\) leased.*/\1/p' server.log)
    [ -n "$address4" ] && [ -n "$address6" ] || fail "no address is told"
  fi
}
# The server is there until it is ended, and then ends as its signal has it.
end() {  # end [SIGNAL STATUS]
  local status=0 tries=0
  kill "-${1:-TERM}" "$server" || fail "the server has ended by itself"
  while kill -0 "$server" 2>/dev/null; do
    [ $((tries += 1)) -le 3000 ] || fail "the server goes on after SIG${1:-TERM}"
    sleep 0.02
  done
  wait "$server" || status=$?
  [ $status -eq "${2:-143}" ] || fail "the server ended with $status after SIG${1:-TERM}"
  children=()
}
# A client, of ours on shm; it must be done in a minute.
client() { timeout -s KILL 60 "${as_client[@]}" "$@" 2>>client.log; }

fetch() {  # fetch URL FILE
  client curl -sSfg --max-time 50 "$1" | cmp - "$2" || fail "curl $1"
}

check_calls() {  # check_calls ADDRESS4 ADDRESS6 OPTIONS...
  timeout 100 "$socket_check" >calls.log 2>&1 || fail "Linux does not pass socket_check"
  SOCKET_CHECK_ADDRESS=::1 SOCKET_CHECK_IPV4=127.0.0.1 timeout 100 "$socket_check" >calls.log 2>&1 ||
    fail "Linux does not pass socket_check over IPv6"
  local to4=$1 to6=$2
  shift 2
  # With an engine in the program, a forked child does not share its parent's sockets.
  [ "$kind" != shm ] || export SOCKET_CHECK_TIDELINE=1
  SOCKET_CHECK_ADDRESS=$to4 timeout 100 "$tideline" run "$@" -- "$socket_check" >calls.log 2>&1 ||
    fail "socket_check"
  SOCKET_CHECK_ADDRESS=$to6 SOCKET_CHECK_IPV4=$to4 \
    timeout 100 "$tideline" run "$@" -- "$socket_check" >calls.log 2>&1 || fail "socket_check over IPv6"
  unset SOCKET_CHECK_TIDELINE
  said "calls do what they do in Linux"
}

check_nc() {
  input=large serve 5000 nc -N -l 5000
  client nc -d "$address4" 5000 >from_server || fail "nc"
  wait "$server" || fail "nc -l"
  children=()
  cmp from_server large || fail "nc: from server to client"
  serve 5000 nc -d -l 5000
  client nc -N "$address4" 5000 <large || fail "nc -N"
  wait "$server" || fail "nc -d -l"
  children=()
  cmp server.out large || fail "nc: from client to server"
  serve 5001 socat -u TCP6-LISTEN:5001 CREATE:from_client
  client socat -u OPEN:large "TCP6:[$address6]:5001" || fail "socat"
  wait "$server" || fail "socat LISTEN"
  children=()
  cmp from_client large || fail "socat: from client to server"
  said "nc and socat carry 20 MB, both ways, IPv4 and IPv6"
}

check_http() {
  serve 8000 $python -m http.server --bind :: 8000
  fetch "http://$address4:8000/small" small
  fetch "http://$address4:8000/large" large
  fetch "http://[$address6]:8000/large" large
  # A listener on any address is the kernel's, too.
  curl -sSf --max-time 50 http://127.0.0.1:8000/small | cmp - small || fail "the kernel's half"
  end
  said "python's http.server and curl, IPv4 and IPv6"
}

check_asyncio() {
  cat >echo.py <<'PYTHON'
import asyncio, hashlib, sys

async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def ask(address, number):
    data = hashlib.shake_128(str(number).encode()).digest(300000)
    reader, writer = await asyncio.open_connection(address, 7000)
    writer.write(data)
    writer.write_eof()
    assert await reader.read() == data, f"connection {number}"
    writer.close()

async def main():
    if sys.argv[1] == "serve":
        server = await asyncio.start_server(echo, "::" if sys.argv[2] == "6" else "0.0.0.0", 7000)
        await server.serve_forever()
    await asyncio.gather(*(ask(sys.argv[2], number) for number in range(20)))

asyncio.run(main())
PYTHON
  local version address
  for version in 4 6; do
    serve 7000 $python echo.py serve $version
    address=address$version
    client $python echo.py ask "${!address}" || fail "asyncio"
    end
  done
  said "python's asyncio, 20 connections at once"
}

# Every answer is looked at. The program knows IPv4 alone, and judges what comes between its first and its last 0.4 s.
check_sockperf() {
  local protocol
  for protocol in --tcp ''; do
    # shellcheck disable=SC2086
    "$tideline" run "${ours[@]}" -- sockperf server $protocol -i 0.0.0.0 -p 11111 >server.out 2>server.log &
    server=$!
    children+=("$server")
    local tries=0
    until grep -q 'to block on socket' server.out && { [ "$kind" != shm ] || grep -q leased server.log; }; do
      kill -0 "$server" 2>/dev/null || fail "sockperf has ended"
      [ $((tries += 1)) -le 1000 ] || fail "sockperf does not serve"
      sleep 0.02
    done
    [ "$kind" != shm ] || address4=$(sed -n 's/^tideline: \([0-9.]*\) and .* leased.*/\1/p' server.log)
    # shellcheck disable=SC2086
    client sockperf ping-pong $protocol -i "$address4" -p 11111 -t 3 -m 200 --data-integrity --full-rtt \
      >sockperf.log 2>&1 || fail "sockperf $protocol"
    grep -q '# dropped messages = 0; # duplicated messages = 0; # out-of-order messages = 0' sockperf.log ||
      fail "sockperf $protocol: messages are not as they were sent"
    end INT 0
  done
  said "sockperf ping-pong with its data checked, TCP and UDP"
}

check_iperf() {
  local words all=("" "-R" "-u -b 100M" "-P 8" "--bidir" "-Z" "-6" "-6 -R" "-6 -u -b 100M")
  for words in "${all[@]}"; do
    serve 5201 iperf3 -s -1
    local to=$address4
    [[ "$words" != -6* ]] || to=$address6
    # shellcheck disable=SC2086
    client iperf3 -c "$to" -t 1 --json $words >iperf.json || fail "iperf3 $words: $(grep error iperf.json)"
    wait "$server" || fail "iperf3 -s"
    children=()
    # With --json, iperf3 says in the file alone that it has failed.
    $python - >iperf.log 2>&1 <<'PYTHON' || fail "iperf3 $words: $(cat iperf.log)"
import json, sys
result = json.load(open("iperf.json"))
if "error" in result:
    sys.exit(result["error"])
total = result["end"].get("sum_received", result["end"].get("sum"))
if total["bytes"] <= 1_000_000:
    sys.exit(f"has carried {total['bytes']} bytes")
PYTHON
  done
  said "iperf3 $(printf "[%s]" "${all[@]}")"
}

check_redis() {
  serve 6379 redis-server --port 6379 --save "" --protected-mode no --bind 0.0.0.0 ::
  local redis=(client redis-cli -h "$address4")
  [ "$("${redis[@]}" set key value)" = OK ] || fail "SET"
  [ "$("${redis[@]}" get key)" = value ] || fail "GET"
  "${redis[@]}" -x set large <large >/dev/null || fail "SET of 20 MB"
  "${redis[@]}" get large | head -c 20000000 | cmp - large || fail "GET of 20 MB"
  [ "$(client redis-cli -h "$address6" strlen large)" = 20000000 ] || fail "STRLEN over IPv6"
  client redis-benchmark -h "$address4" -n 20000 -c 50 -t set,get,lpush,incr -q >benchmark.log 2>&1 ||
    fail "redis-benchmark"
  grep -qi error benchmark.log && fail "redis-benchmark has errors"
  [ "$("${redis[@]}" get counter:__rand_int__)" = 20000 ] || fail "INCR was counted wrong"
  "${redis[@]}" shutdown nosave || fail "SHUTDOWN"
  wait "$server" || fail "redis-server ended with $?"
  children=()
  said "redis: values, 20 MB, redis-benchmark with 50 clients"
}

nginx_conf() {
  mkdir -p html
  ln -f large small html/
  cat >nginx.conf <<CONF
daemon off; master_process off; pid $directory/nginx.pid; error_log $directory/nginx.log;
events { worker_connections 512; }
http { access_log off; sendfile on; tcp_nopush on; root $directory/html; client_body_temp_path $directory/body;
  proxy_temp_path $directory/proxy; fastcgi_temp_path $directory/fcgi; uwsgi_temp_path $directory/uwsgi;
  scgi_temp_path $directory/scgi;
  server { listen 8080; listen [::]:8080; } }
CONF
}

check_nginx() {
  nginx_conf
  serve 8080 nginx -c "$directory/nginx.conf"
  fetch "http://$address4:8080/small" small
  fetch "http://$address4:8080/large" large
  fetch "http://[$address6]:8080/large" large
  client wrk -t 2 -c 20 -d 1 "http://$address4:8080/small" >wrk.log || fail "wrk"
  grep -qE "Socket errors|Non-2xx" wrk.log && fail "wrk: $(cat wrk.log)"
  [ "$(awk '/requests in/ { print $1 }' wrk.log)" -gt 100 ] || fail "wrk: $(cat wrk.log)"
  end QUIT 0
  said "nginx with sendfile; curl, wrk with 20 connections"
}

