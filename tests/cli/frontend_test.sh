#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# frontend_test.sh TIDELINE SOCKET_CHECK shm|tap: unmodified programs whose sockets are served by a front
# end, with real data compared; also those that fork, exec and hand sockets on. shm: servers at one front
# end, clients at another; tap: clients are the kernel's.
. "$(dirname "$0")/common.sh"
kind=frontend_$3
export XDG_RUNTIME_DIR=$directory  # front ends and segments of this test's own
chmod 755 "$directory"
. "$(dirname "$0")/socket_programs.sh"

up() {  # up NAME OPTIONS...
  "$tideline" up --name "$@" >"up_$1.log" 2>&1 || fail "tideline up"
}

check_fork_exec_and_messages() {
  cat >hand_on.py <<'PYTHON'
import array, os, socket, sys

family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
if sys.argv[2] == "serve":  # after exec: descriptor 9 is the listener
    listener = socket.socket(fileno=9)
    while True:
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(65536):
                connection.sendall(b"<" + data + b">")
elif sys.argv[2] == "listen":
    listener = socket.create_server((sys.argv[1], 7100), family=family)
    near, far = socket.socketpair()
    # A child answers on a connection that its parent has accepted, and closed for itself.
    if os.fork() == 0:
        for _ in range(3):
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                connection.sendall(b"child: " + connection.recv(100))
                os._exit(0)
            connection.close()
            os.wait()
        os._exit(0)
    os.wait()
    # Another program of this user's gets a connection in a message.
    if os.fork() == 0:
        near.close()
        listener.close()
        data, ancillary, _, _ = far.recvmsg(10, socket.CMSG_SPACE(4))
        connection = socket.socket(fileno=array.array("i", ancillary[0][2])[0])
        connection.sendall(b"passed: " + connection.recv(100))
        os._exit(0)
    far.close()
    connection, _ = listener.accept()
    near.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [connection.fileno()]))])
    connection.close()
    os.wait()
    # A program that is executed goes on with the listener.
    os.dup2(listener.fileno(), 9, inheritable=True)
    os.execv(sys.executable, [sys.executable, __file__, sys.argv[1], "serve"])
else:
    def ask(word, answer):
        with socket.create_connection((sys.argv[1], 7100)) as connection:
            connection.sendall(word)
            got = connection.recv(100)
            assert got == answer, got
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
    for number in range(3):
        ask(b"%d" % number, b"child: %d" % number)
    ask(b"x", b"passed: x")
    ask(b"after exec", b"<after exec>")
PYTHON
  local address
  for address in "$address4" "$address6"; do
    "$tideline" run "${ours[@]}" -- $python hand_on.py "$address" listen >server.out 2>server.log &
    server=$!
    children+=("$server")
    local tries=0
    until client $python hand_on.py "$address" ask; do
      kill -0 "$server" 2>/dev/null || fail "hand_on.py has ended"
      [ $((tries += 1)) -le 3 ] || fail "hand_on.py"
      sleep 0.5
    done
    end
  done
  said "forked children, sockets in messages, a listener that survives exec; IPv4 and IPv6"
}

check_nginx_workers() {
  nginx_conf
  sed -i "s/master_process off;/worker_processes 2; user root;/" nginx.conf
  serve 8080 nginx -c "$directory/nginx.conf"
  fetch "http://$address4:8080/small" small
  fetch "http://$address4:8080/large" large
  fetch "http://[$address6]:8080/large" large
  client wrk -t 2 -c 20 -d 1 "http://$address4:8080/small" >wrk.log || fail "wrk"
  grep -qE "Socket errors|Non-2xx" wrk.log && fail "wrk: $(cat wrk.log)"
  # A new generation of workers takes over the listeners.
  kill -HUP "$server"
  fetch "http://$address4:8080/small" small
  end QUIT 0
  said "nginx with a master and two workers; curl, wrk"
}

check_ftp() {
  mkdir -p ftp/incoming empty
  chmod 555 ftp empty
  chmod 777 ftp/incoming
  cp large ftp/large
  cat >vsftpd.conf <<CONF
listen=NO
listen_ipv6=YES
listen_port=2121
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root=$directory/ftp
write_enable=YES
anon_upload_enable=YES
anon_umask=022
secure_chroot_dir=$directory/empty
nopriv_user=nobody
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
CONF
  # The C library looks up addresses of IPv6, literal ones too, if an interface has one.
  ip address add 2001:db8:ffff::1/128 dev lo nodad
  serve 2121 vsftpd "$directory/vsftpd.conf"
  local mode address
  for address in "$address4" "[$address6]"; do
    for mode in on off; do
      rm -f got ftp/incoming/*
      client lftp -c "set net:max-retries 2; set net:timeout 20; set ftp:passive-mode $mode; set ftp:sync-mode on
        open ftp://$address:2121; get large -o got; cd incoming; put large" >lftp.log 2>&1 || fail "lftp, passive $mode"
      cmp got large || fail "lftp: from the server, passive $mode"
      cmp ftp/incoming/large large || fail "lftp: to the server, passive $mode"
    done
  done
  end
  said "vsftpd and lftp: 20 MB each way, passive and active, IPv4 and IPv6"
}

# As its own user, a process for each client.
check_postgres() {
  local bin version
  for version in /usr/lib/postgresql/*/bin; do bin=$version; done
  mkdir base
  chown postgres base
  local as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups)
  "${as_postgres[@]}" "$bin/initdb" -D base -A trust -U postgres >initdb.log 2>&1 || fail "initdb"
  echo "host all all all trust" >>base/pg_hba.conf
  "${as_postgres[@]}" "$tideline" run "${ours[@]}" -- "$bin/postgres" -D "$directory/base" -c listen_addresses='*' \
    -c fsync=off -c unix_socket_directories='' -p 5432 >server.out 2>server.log &
  server=$!
  children+=("$server")
  local tries=0
  until client "$bin/pg_isready" -q -h "$address4" -p 5432; do
    kill -0 "$server" 2>/dev/null || fail "postgres has ended"
    [ $((tries += 1)) -le 50 ] || fail "postgres does not get ready"
    sleep 0.2
  done
  client "$bin/pgbench" -i -q -h "$address4" -U postgres postgres >pgbench.log 2>&1 || fail "pgbench -i"
  client "$bin/pgbench" -h "$address6" -U postgres -c 8 -t 100 postgres >pgbench.log 2>&1 || fail "pgbench"
  grep -q "number of transactions actually processed: 800/800" pgbench.log || fail "pgbench: $(cat pgbench.log)"
  local sum
  sum=$(client "$bin/psql" -h "$address4" -U postgres -Atc \
    "select (select sum(delta) from pgbench_history) = (select sum(abalance) from pgbench_accounts)" postgres)
  [ "$sum" = t ] || fail "the accounts do not agree with their history"
  end INT 0
  said "PostgreSQL as its own user, pgbench with 8 clients"
}

check_a_crash_hurts_nobody() {
  serve 8000 $python -m http.server --bind 0.0.0.0 8000
  local victim
  for _ in 1 2 3; do
    "$tideline" run "${ours[@]}" -- $python -c "
import socket, sys
s = [socket.create_server(('$address4', 0)) for _ in range(20)]
c = [socket.create_connection(x.getsockname()) for x in s]
for x in c: x.sendall(b'x' * 10000)
print('ready', flush=True)
sys.stdin.read()" <"$directory/never" >victim.out 2>victim.log &
    victim=$!
    until grep -q ready victim.out; do
      kill -0 $victim || fail "the victim: $(cat victim.log)"
      sleep 0.02
    done
    kill -KILL $victim
    local status=0
    wait $victim || status=$?
    [ $status -eq 137 ] || fail "the victim ended with $status"
    fetch "http://$address4:8000/large" large
  done
  end
  said "clients that are killed in the middle"
}

# servers.toml: programs of all users, as PostgreSQL is another one's.
configure() {  # configure WIRE IP IP6
  cat >servers.toml <<TOML
name = "servers"
[[host]]
name = "lan"
wire = "$1"
ip = "$2"
ip6 = "$3"
[policy]
admit = true
TOML
  up servers --config servers.toml
}

if [ "$3" = shm ]; then
  configure shm:front 192.0.2.1/24 2001:db8::1/64
  up clients --wire shm:front --ip 192.0.2.2/24 --ip6 2001:db8::2/64
  address4=192.0.2.1
  address6=2001:db8::1
  as_client=("$tideline" run --placement frontend --name clients --)
else
  configure "tap:tl0,peer=192.0.2.1/24,peer6=2001:db8::1/64" 192.0.2.2/24 2001:db8::2/64
  address4=192.0.2.2
  address6=2001:db8::2
  as_client=()
fi
ours=(--placement frontend --name servers)
mkfifo never
exec 8<>never
[ "$3" = tap ] || check_calls 192.0.2.1 2001:db8::1 "${ours[@]}"
check_nc
check_http
check_asyncio
check_iperf
[ "$3" = shm ] || check_sockperf  # else in more_programs_test.sh
check_redis
check_nginx
check_nginx_workers
check_fork_exec_and_messages
check_ftp
check_postgres
check_a_crash_hurts_nobody
