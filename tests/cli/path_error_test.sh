#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# path_error_test.sh TIDELINE: what ICMP says of streams (IP_RECVERR, IPV6_RECVERR) and of datagrams, asked of the kernel's
# sockets, and in the same way of ours in a program and at a front end. The peer is a program that plays TCP and routers on the far end of a veth.
. "$(dirname "$0")/common.sh"
export XDG_RUNTIME_DIR=$directory
cd "$directory"
python=/usr/bin/python3

cat >wire.py <<'PYTHON'
# The far end: 192.0.2.5 and 2001:db8::5, behind a router .9 that complains. Of port 81 it says that the host is unreachable,
# of 82 that time was exceeded; 83 is a peer that acknowledges no data, of which each first transmission is called
# unreachable; 84 the same, but something comes from it behind the complaint. Of datagrams to 85 that they make no sense, to
# 86 that they are forbidden, to 87 that there is no route, to 88 that nobody has the protocol.
import select, socket, struct, sys

link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
link.bind((sys.argv[1], 0))
MAC = link.getsockname()[4]
HOSTS = {4: socket.inet_pton(socket.AF_INET, "192.0.2.5"), 6: socket.inet_pton(socket.AF_INET6, "2001:db8::5")}
ROUTERS = {4: socket.inet_pton(socket.AF_INET, "192.0.2.9"), 6: socket.inet_pton(socket.AF_INET6, "2001:db8::9")}
sent = {}  # by connection: the sequence number behind what it has sent

def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16: total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

def packet(version, source, destination, protocol, data):
    if version == 6:
        return struct.pack("!IHBB", 6 << 28, len(data), protocol, 255) + source + destination + data
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 1, 0, 255, protocol, 0) + source + destination
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + data

def summed(version, source, destination, protocol, data, at):  # with its checksum
    size = struct.pack("!HH", protocol, len(data)) if version == 4 else struct.pack("!II", len(data), protocol)
    pseudo = b"" if (version, protocol) == (4, 1) else source + destination + size
    return data[:at] + struct.pack("!H", checksum(pseudo + data)) + data[at + 2:]

def put(to, ether_type, data): link.send(to + MAC + struct.pack("!H", ether_type) + data)

def put_packet(to, version, source, destination, protocol, data, at):
    data = summed(version, source, destination, protocol, data, at)
    put(to, 0x0800 if version == 4 else 0x86DD, packet(version, source, destination, protocol, data))

def complain(to, version, quoted, size, kind, code):
    source = quoted[12:16] if version == 4 else quoted[8:24]
    message = struct.pack("!BBHI", kind, code, 0, 0) + quoted[:size]
    put_packet(to, version, ROUTERS[version], source, 1 if version == 4 else 58, message, 2)

def segment(to, version, source, ports, seq, ack, flags, data=b""):
    tcp = struct.pack("!HHIIBBHHH", *ports, seq, ack, 0x50, flags, 65535, 0, 0) + data
    put_packet(to, version, HOSTS[version], source, 6, tcp, 16)

def tcp_came(to, version, ip, head):
    source = ip[12:16] if version == 4 else ip[8:24]
    whole = struct.unpack("!H", ip[2:4])[0] if version == 4 else 40 + struct.unpack("!H", ip[4:6])[0]
    theirs, port, seq, _, offset, flags = struct.unpack("!HHIIBB", ip[head:head + 14])
    size = whole - head - (offset >> 4) * 4
    unreachable = (3, 1) if version == 4 else (1, 3)
    if port == 81: return complain(to, version, ip, whole, *unreachable)
    if port == 82: return complain(to, version, ip, whole, *((11, 0) if version == 4 else (3, 0)))
    if port not in (83, 84) or flags & 4: return
    who, ports = (source, theirs, port), (port, theirs)
    if flags & 2: return segment(to, version, source, ports, 999, seq + 1, 0x12)
    if size == 0 or seq < sent.get(who, 0): return
    first = who not in sent
    sent[who] = seq + size
    complain(to, version, ip, whole, *unreachable)
    if port == 84 and first: segment(to, version, source, ports, 1000, seq, 0x18, b"hi")

DATAGRAMS = {4: {85: (12, 0), 86: (3, 13), 87: (3, 0), 88: (3, 2)}, 6: {85: (4, 0), 86: (1, 1), 87: (1, 0), 88: (4, 1)}}

def datagram_came(to, version, ip, head):
    whole = struct.unpack("!H", ip[2:4])[0] if version == 4 else 40 + struct.unpack("!H", ip[4:6])[0]
    said = DATAGRAMS[version].get(struct.unpack("!H", ip[head + 2:head + 4])[0])
    if said: complain(to, version, ip, whole, *said)

print("ready", flush=True)
while True:
    frame = link.recv(65536)
    to, ether_type, rest = frame[6:12], struct.unpack("!H", frame[12:14])[0], frame[14:]
    if to == MAC: continue
    if ether_type == 0x0806 and rest[6:8] == b"\0\1" and rest[24:28] == HOSTS[4]:
        put(to, 0x0806, rest[:6] + b"\0\2" + MAC + HOSTS[4] + rest[8:18])
    elif ether_type == 0x0800 and rest[16:20] == HOSTS[4] and rest[9] == 6:
        tcp_came(to, 4, rest, (rest[0] & 15) * 4)
    elif ether_type == 0x0800 and rest[16:20] == HOSTS[4] and rest[9] == 17:
        datagram_came(to, 4, rest, (rest[0] & 15) * 4)
    elif ether_type == 0x86DD and rest[6] == 58 and rest[40] == 135 and rest[48:64] == HOSTS[6] and any(rest[8:24]):
        put_packet(to, 6, HOSTS[6], rest[8:24], 58, struct.pack("!BBHI", 136, 0, 0, 3 << 29) + HOSTS[6] + b"\2\1" + MAC, 2)
    elif ether_type == 0x86DD and rest[24:40] == HOSTS[6] and rest[6] == 6:
        tcp_came(to, 6, rest, 40)
    elif ether_type == 0x86DD and rest[24:40] == HOSTS[6] and rest[6] == 17:
        datagram_came(to, 6, rest, 40)
PYTHON

cat >ask.py <<'PYTHON'
import errno, select, socket, struct, sys

IP_RECVERR, IPV6_RECVERR = 11, 25
address = sys.argv[1]
ipv4 = ":" not in address
family = socket.AF_INET if ipv4 else socket.AF_INET6
router = "192.0.2.9" if ipv4 else "2001:db8::9"
unreachable = (2, 3, 1) if ipv4 else (3, 1, 3)  # origin, type, code
exceeded = (2, 11, 0) if ipv4 else (3, 3, 0)

def stream(asks):
    s = socket.socket(family)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if ipv4: s.setsockopt(socket.SOL_IP, IP_RECVERR, asks)
    else: s.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, asks)
    return s

def events(s, wanted, milliseconds):
    poll = select.poll()
    poll.register(s, wanted)
    found = poll.poll(milliseconds)
    return found[0][1] if found else 0

def failure(call, *arguments):
    try: call(*arguments)
    except OSError as error: return error.errno
    return 0

def error_of(s): return s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
def nothing_kept(s): return failure(s.recvmsg, 10, 10, socket.MSG_ERRQUEUE) == errno.EAGAIN

def wait_error(s):
    found = events(s, 0, 30000)
    assert found & select.POLLERR and not found & select.POLLHUP, found

def kept(s, port, wanted):
    data, control, flags, to = s.recvmsg(200, 512, socket.MSG_ERRQUEUE)
    # TCP's header, of which as much was quoted as this network does.
    assert len(data) >= 20 and struct.unpack("!H", data[2:4]) == (port,) and data[13] == 2, data
    assert flags & socket.MSG_ERRQUEUE and to[:2] == (address, port), (flags, to)
    (level, number, said), = control
    assert (level, number) == ((socket.SOL_IP, IP_RECVERR) if ipv4 else (socket.IPPROTO_IPV6, IPV6_RECVERR)), control
    error = struct.unpack_from("=IBBBBII", said)
    assert error[:4] == (errno.EHOSTUNREACH, *wanted), error
    assert socket.inet_ntop(family, said[20:24] if ipv4 else said[24:40]) == router, said

for port, wanted in ((81, unreachable), (82, exceeded)):  # while it connects
    with stream(1) as s:
        s.setblocking(False)
        assert failure(s.connect, (address, port)) == errno.EINPROGRESS
        assert events(s, 0, 30000) & (select.POLLERR | select.POLLHUP) == select.POLLERR | select.POLLHUP
        kept(s, port, wanted)
        assert error_of(s) == 0 and nothing_kept(s)
    with stream(1) as s:
        assert failure(s.connect, (address, port)) == errno.EHOSTUNREACH
        assert events(s, 0, 0) & select.POLLERR
        kept(s, port, wanted)
        assert not events(s, 0, 0) & select.POLLERR
        # And again, as if new.
        assert failure(s.connect, (address, port)) == errno.EHOSTUNREACH
        kept(s, port, wanted)
with stream(0) as s:
    assert failure(s.connect, (address, 81)) == errno.EHOSTUNREACH

with stream(1) as s:  # of a connection
    s.connect((address, 83))
    s.sendall(b"one")
    wait_error(s)
    assert nothing_kept(s)
    assert failure(s.recv, 10, socket.MSG_DONTWAIT) == errno.EHOSTUNREACH
    assert failure(s.recv, 10, socket.MSG_DONTWAIT) == errno.EAGAIN
    assert events(s, select.POLLIN | select.POLLOUT, 0) == select.POLLOUT
    s.sendall(b"two")
    wait_error(s)
    assert failure(s.send, b"not sent") == errno.EHOSTUNREACH
    s.sendall(b"three")
    wait_error(s)
    assert error_of(s) == errno.EHOSTUNREACH and error_of(s) == 0
    s.sendall(b"four")
    assert failure(s.recv, 10) == errno.EHOSTUNREACH
    assert s.getpeername()[:2] == (address, 83)
with stream(0) as s:
    s.connect((address, 84))
    s.sendall(b"one")
    assert s.recv(10) == b"hi"  # which came behind the error
    assert not events(s, select.POLLIN, 0)
    assert nothing_kept(s)

# Of datagrams, who is connected hears what is hard though he has not asked; who is not hears nothing.
hard = {85: errno.EPROTO, 86: errno.EHOSTUNREACH if ipv4 else errno.EACCES, 88: errno.ENOPROTOOPT if ipv4 else errno.EPROTO}
with socket.socket(family, socket.SOCK_DGRAM) as soft, socket.socket(family, socket.SOCK_DGRAM) as loose:
    soft.connect((address, 87))
    soft.send(b"x")
    loose.sendto(b"x", (address, 85))
    for port, wanted in hard.items():
        with socket.socket(family, socket.SOCK_DGRAM) as s:
            s.connect((address, port))
            s.send(b"x")
            wait_error(s)
            assert error_of(s) == wanted and error_of(s) == 0, port
            s.send(b"x")
            wait_error(s)
            assert failure(s.recv, 10) == wanted, port
    assert events(soft, select.POLLIN, 0) == 0 and events(loose, select.POLLIN, 0) == 0  # theirs came before
PYTHON

ip link add tlv0 type veth peer name tlv1
sysctl -qw net.ipv6.conf.tlv1.disable_ipv6=1
for interface in tlv0 tlv1; do ip link set $interface up; done
ip address add 192.0.2.1/24 dev tlv0
ip address add 2001:db8::1/64 dev tlv0 nodad
"$python" wire.py tlv1 >wire.log 2>&1 &
children+=($!)
until grep -q ready wire.log; do kill -0 "${children[0]}" 2>/dev/null || fail "the far end"; sleep 0.02; done

ask() {  # ask WHERE COMMAND...
  local where=$1 address
  shift
  for address in 192.0.2.5 2001:db8::5; do
    timeout 120 "$@" "$python" ask.py "$address" >ask.log 2>&1 || fail "$where, $address"
  done
  echo "path errors, $where"
}

ask "the kernel" env
tideline_options=(--wire packet:tlv0 --ip 192.0.2.3/24 --ip6 2001:db8::3/64)
ask "the program" "$tideline" run "${tideline_options[@]}" --
"$tideline" up --name paths "${tideline_options[@]}" >up.log 2>&1 || fail "tideline up"
ask "a front end" "$tideline" run --placement frontend --name paths --
"$tideline" down --name paths >down.log 2>&1 || fail "tideline down"
