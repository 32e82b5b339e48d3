#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# path_mtu_test.sh TIDELINE: unmodified programs send to the kernel, over a relay that drops packets of more than 1400
# bytes and says nothing. In both placements their connections survive, and end at the largest packet that passes.
. "$(dirname "$0")/common.sh"
export XDG_RUNTIME_DIR=$directory  # front ends and segments of this test's own
cd "$directory"

cat >stream.py <<'PYTHON'
# serve ADDRESS CONNECTIONS: reads each to its end, and answers with its hash. | send ADDRESS MTU PROBING: sends until
# the path's MTU is found to be that, and as much again; it begins as PROBING has it, from the link's MTU or below. | stall ADDRESS: sends, and waits for its death.
import hashlib, socket, sys, time
version = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
PIECE = bytes(i * 7 % 251 for i in range(1 << 16))
TCP_INFO_PMTU = 60  # of struct tcp_info

def path_mtu(stream):
    level, name = (socket.IPPROTO_IPV6, 24) if version == socket.AF_INET6 else (socket.IPPROTO_IP, 14)  # IP_MTU
    number = stream.getsockopt(level, name)
    info = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return number, int.from_bytes(info[TCP_INFO_PMTU:TCP_INFO_PMTU + 4], "little")

if sys.argv[1] == "serve":
    listener = socket.create_server((sys.argv[2], 5001), family=version)
    print("ready", flush=True)
    for _ in range(int(sys.argv[3])):
        peer, _ = listener.accept()
        seen = hashlib.sha256()
        while data := peer.recv(1 << 20):
            seen.update(data)
        peer.sendall(seen.digest())
        peer.close()
elif sys.argv[1] == "send":
    wanted = int(sys.argv[3])
    stream = socket.create_connection((sys.argv[2], 5001))
    stream.setsockopt(socket.SOL_SOCKET, 47, 60_000_000)  # SO_MAX_PACING_RATE: a search takes time, not bytes
    sent, begin, seen, mtus = hashlib.sha256(), time.monotonic(), 0, set()
    def send():
        stream.sendall(PIECE)
        sent.update(PIECE)
    mtus.add(path_mtu(stream))
    while path_mtu(stream) != (wanted, wanted):
        mtus.add(path_mtu(stream))
        assert time.monotonic() < begin + 100, f"the path has {path_mtu(stream)}, not {wanted}; seen: {sorted(mtus)}"
        for _ in range(16):
            send()
            seen += 1
    found = time.monotonic() - begin
    for _ in range(64):
        send()
    assert path_mtu(stream) == (wanted, wanted), path_mtu(stream)
    stream.shutdown(socket.SHUT_WR)
    stream.settimeout(60)
    assert stream.recv(32) == sent.digest(), "the stream differs"
    assert ((1500, 1500) in mtus) == (sys.argv[4] == "black-hole"), sorted(mtus)
    print(f"found after {found:.1f} s and {seen * len(PIECE) >> 20} MiB, over {sorted(mtus)}")
else:
    stream = socket.create_connection((sys.argv[2], 5001))
    stream.sendall(PIECE)
    print("sent", flush=True)
    time.sleep(600)
PYTHON

near=(--wire shm:mtu --ip 192.0.2.2/24 --ip6 2001:db8::2/64)
relay=(relay "tap:tl0,peer=192.0.2.1/24,peer6=2001:db8::1/64" shm:mtu)

# Takes so many connections over one version.
serve() {  # serve ADDRESS CONNECTIONS
  python3 stream.py serve "$1" "$2" >serve.log 2>&1 &
  server=$!
  children+=("$server")
  until grep -q ready serve.log; do kill -0 $server 2>/dev/null || fail "the server on $1"; sleep 0.02; done
}
served() {
  wait "$server" || fail "the server"
}
# The program may be given its engine by the front end, or has one of its own.
send() {  # send ADDRESS PROBING RUN-OPTIONS...
  timeout 200 "$tideline" run "${@:3}" -- python3 stream.py send "$1" 1400 "$2" >send.log 2>&1 || fail "send to $1: ${*:2}"
  echo "$1, ${*:2}: $(cat send.log)"
}
app() { send "$1" "$2" "${near[@]}" "${@:3}"; }

start relay "${relay[@]}" --impair mtu=1400
for address in 192.0.2.1 2001:db8::1; do
  serve $address 3
  app $address black-hole
  app $address always --mtu-probing always
  app $address black-hole --impair loss=0.5% --seed 3
  served
done

for probing in black-hole always; do
  "$tideline" up "${near[@]}" --mtu-probing $probing >up.log 2>&1 || fail "tideline up"
  for address in 192.0.2.1 2001:db8::1; do
    serve $address 1
    send $address $probing --placement frontend
    served
  done
  "$tideline" down >down.log 2>&1 || fail "tideline down"
done

# Off, it stalls; and `status` says why a user might want the switch.
serve 192.0.2.1 1
"$tideline" run "${near[@]}" --mtu-probing off -- python3 stream.py stall 192.0.2.1 >stall.log 2>&1 &
stalled=$!
children+=("$stalled")
status() { "$tideline" status --json --interval 0.05 2>/dev/null | python3 -c '
import json, sys
for process in json.load(sys.stdin)["processes"]:
    for each in process["tcp"]["connections"]:
        print(each["timeouts"], each["path_mtu"], each["mtu_probes"], each["bytes_acked"])'; }
tries=0
until read -r timeouts mtu probes acked < <(status) && [ "$timeouts" -ge 5 ]; do
  [ $((tries += 1)) -lt 300 ] || fail "no five time-outs, but ${timeouts:-none}"
  sleep 0.1
done
[ "$mtu" -eq 1500 ] && [ "$probes" -eq 0 ] && [ "$acked" -lt 1400 ] || fail "off: MTU $mtu, $probes probes, $acked acknowledged"
end_by TERM "$stalled"
unset 'children[-1]'
echo "off: $timeouts time-outs, and nothing arrives"
