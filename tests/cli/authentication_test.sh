#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# authentication_test.sh TIDELINE: programs that give their sockets keys (TCP-AO, RFC 5925) by Linux's socket
# options, over shm: an engine in each program, and two front ends. The same keys work, and can change; without
# them, or with others, nobody connects.
. "$(dirname "$0")/common.sh"
export XDG_RUNTIME_DIR=$directory
cd "$directory"
fronts=()
python=/usr/bin/python3

cat >peer.py <<'PYTHON'
import ctypes, errno, socket, struct, sys

ADD_KEY, DELETE_KEY, INFO, GET_KEYS = 38, 39, 40, 41
what, address, port = sys.argv[1], sys.argv[2], 7179
family = socket.AF_INET6 if ":" in address else socket.AF_INET
whole = 128 if family == socket.AF_INET6 else 32

def name(peer):
    raw = socket.inet_pton(family, peer)
    head = struct.pack("=HHI", family, 0, 0)
    return (head + raw if family == socket.AF_INET6 else head[:4] + raw).ljust(128, b"\0")

def add_key(s, peer, prefix, secret, send, receive, algorithm=b"hmac(sha1)"):
    s.setsockopt(socket.IPPROTO_TCP, ADD_KEY, struct.pack(
        "=128s64siIHBBBBBB80s", name(peer), algorithm, 0, 0, 0, prefix, send, receive, 12, 0, len(secret), secret))

def use(s, current, following):
    s.setsockopt(socket.IPPROTO_TCP, INFO, struct.pack("=IHBB40x", 3, 0, current, following))

def delete_key(s, peer, prefix, send, receive):
    s.setsockopt(socket.IPPROTO_TCP, DELETE_KEY, struct.pack(
        "=128siIHBBBBBB", name(peer), 0, 0, 0, prefix, send, receive, 0, 0, 0).ljust(144, b"\0"))

# struct tcp_ao_info_opt: flags, current key, next, and counters: good, bad, key not found, required, ICMP dropped.
# By ctypes, for Python's getsockopt does not let questions through.
libc = ctypes.CDLL(None, use_errno=True)
def ask(s, option, buffer, size):
    length = ctypes.c_uint(size)
    if libc.getsockopt(s.fileno(), socket.IPPROTO_TCP, option, buffer, ctypes.byref(length)) != 0:
        raise OSError(ctypes.get_errno(), "getsockopt")
    return length.value
def info(s, size=48):
    buffer = ctypes.create_string_buffer(48)
    ask(s, INFO, buffer, size)
    return struct.unpack("=IHBB5Q", buffer.raw)

# An array of struct tcp_ao_getsockopt.
SHAPE = struct.Struct("=128s64s80sIHBBBBBBiQQ")
def keys(s, room=8, flags=4, peer=None, prefix=0, send=0, receive=0):
    question = SHAPE.pack(name(peer) if peer else b"", b"", b"", room, flags, send, receive, prefix, 0, 0, 0, 0, 0, 0)
    buffer = ctypes.create_string_buffer(question, SHAPE.size * max(room, 1))
    size = ask(s, GET_KEYS, buffer, SHAPE.size)
    assert size == SHAPE.size == 304, size
    found = SHAPE.unpack_from(buffer)[3]
    all = [SHAPE.unpack_from(buffer, SHAPE.size * i) for i in range(min(found, room))]
    # Address, algorithm, key, current and next, identifiers, prefix, length of the code, good, bad.
    return found, [(each[0], each[1].rstrip(b"\0"), each[2][:each[10]], each[4], each[5], each[6], each[7], each[8], each[12], each[13])
                   for each in all]

def expect(number, call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        assert error.errno == number, error
    else:
        raise AssertionError("it succeeds")

s = socket.socket(family)
if what == "serve":
    s.bind((address, port))
    network = ("2001:db8::", 64) if family == socket.AF_INET6 else ("192.0.2.0", 24)
    add_key(s, *network, b"secret", 2, 1)
    s.listen()
    assert keys(s) == (1, [(name(network[0]), b"hmac(sha1)", b"secret", 0, 2, 1, network[1], 12, 0, 0)]), keys(s)
    assert info(s)[:4] == (0, 0, 0, 0), info(s)
    print("listens", flush=True)
    while True:
        connection, peer = s.accept()
        while data := connection.recv(65536):
            assert info(connection)[4] > 0 and info(connection)[5:] == (0, 0, 0, 0), info(connection)
            if data == b"change":
                add_key(connection, peer[0], whole, b"another", 20, 10, b"cmac(aes128)")
                connection.sendall(b"changed")
            else:
                connection.sendall(data)
        connection.close()

if what == "refused":  # sys.argv[3]: the key, or nothing
    if sys.argv[3]:
        add_key(s, address, whole, sys.argv[3].encode(), 1, 2)
    s.settimeout(1)
    try:
        s.connect((address, port))
    except TimeoutError:
        sys.exit(0)
    sys.exit("connected")

expect(errno.ENOENT, add_key, s, address, whole, b"secret", 1, 2, b"hmac(md5)")
expect(errno.EINVAL, add_key, s, address, whole, b"", 1, 2)
expect(errno.EINVAL, add_key, s, address, whole + 1, b"secret", 1, 2)
add_key(s, address, whole, b"secret", 1, 2)
expect(errno.EINVAL, add_key, s, address, whole, b"secret", 1, 3)
assert keys(s) == (1, [(name(address), b"hmac(sha1)", b"secret", 0, 1, 2, whole, 12, 0, 0)]), keys(s)
assert info(s) == (0,) * 9, info(s)
s.connect((address, port))
assert info(s)[:4] == (3, 0, 1, 2) and info(s)[4] >= 1, info(s)

def echo(text):
    s.sendall(text)
    got = b""
    while len(got) < len(text):
        got += s.recv(65536)
    return got

for size in (1, 100, 30000):
    assert echo(b"x" * size) == b"x" * size
add_key(s, address, whole, b"another", 10, 20, b"cmac(aes128)")
s.sendall(b"change")
assert s.recv(100) == b"changed"
assert keys(s, flags=1)[1][0][4:6] == (1, 2) and keys(s, flags=1) == keys(s, flags=2), keys(s, flags=3)
found, both = keys(s)
assert found == 2 and [each[4] for each in both] == [1, 10] and both[1][1:3] == (b"cmac(aes128)", b"another"), both
assert both[0][8] == info(s)[4] and both[1][8] == 0, (both, info(s))
assert keys(s, room=1) == (2, both[:1]) and keys(s, room=0)[0] == 2
assert keys(s, flags=0, peer=address, prefix=whole, send=10, receive=20) == (1, both[1:])
assert keys(s, flags=0, peer=address, prefix=whole, send=10, receive=2)[0] == 0
expect(errno.EINVAL, keys, s, 8, 5)
expect(errno.EINVAL, keys, s, 8, 4, address, whole)
expect(errno.EINVAL, keys, s, 8, 8)
expect(errno.EAFNOSUPPORT, keys, s, 8, 0)
use(s, 10, 20)
assert info(s)[:4] == (3, 0, 10, 20), info(s)
assert info(s, 8)[:4] == (3, 0, 10, 20)
delete_key(s, address, whole, 1, 2)
for size in (1, 100, 30000):
    assert echo(b"y" * size) == b"y" * size
expect(errno.EINVAL, delete_key, s, address, whole, 10, 20)
found, [key] = keys(s)
assert found == 1 and key[3] == 3 and key[8] > 3 and key[9] == 0, key
with socket.socket(family) as other:
    other.settimeout(1)
    try:
        other.connect((address, port))
    except TimeoutError:
        pass
    expect(errno.ENOENT, keys, other)
    expect(errno.ENOENT, info, other)
# The kernel's half, if it knows no keys, is not used instead.
with socket.socket(family) as other:
    loopback = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    add_key(other, loopback, whole, b"secret", 1, 2)
    try:
        other.connect((loopback, port))
    except OSError as error:
        assert error.errno in (errno.EKEYREJECTED, errno.ECONNREFUSED), error
    else:
        raise AssertionError("connected")
PYTHON

# Others are refused, and disturb nobody.
try_all() {  # try_all KIND ADDRESS; how to run servers and clients: as_server, as_client
  "$tideline" run "${as_server[@]}" -- "$python" peer.py serve "$2" >server.log 2>&1 &
  children+=($!)
  until grep -q listens server.log; do
    kill -0 "${children[0]}" || fail "the server has ended"
    sleep 0.02
  done
  timeout 60 "$tideline" run "${as_client[@]}" -- "$python" peer.py ask "$2" >client.log 2>&1 || fail "$1: $2"
  [ "$2" = 192.0.2.1 ] && for key in Secret ""; do
    timeout 60 "$tideline" run "${as_client[@]}" -- "$python" peer.py refused "$2" "$key" >client.log 2>&1 ||
      fail "$1: $2 with the key '$key'"
  done
  timeout 60 "$tideline" run "${as_client[@]}" -- "$python" peer.py ask "$2" >client.log 2>&1 || fail "$1: $2, again"
  end_by TERM "${children[0]}"
  children=()
}

for address in 192.0.2.1 2001:db8::1; do
  as_server=(--wire shm:keys --ip 192.0.2.1/24 --ip6 2001:db8::1/64)
  as_client=(--wire shm:keys --ip 192.0.2.2/24 --ip6 2001:db8::2/64)
  try_all "engines in programs" "$address"
done
for side in 1 2; do
  "$tideline" up --name "front$side" --wire shm:fronts --ip "192.0.2.$side/24" --ip6 "2001:db8::$side/64" >"up$side.log" 2>&1 ||
    fail "tideline up"
  fronts+=("front$side")
done
for address in 192.0.2.1 2001:db8::1; do
  as_server=(--placement frontend --name front1)
  as_client=(--placement frontend --name front2)
  try_all "front ends" "$address"
done
for front in "${fronts[@]}"; do "$tideline" down --name "$front" >down.log 2>&1 || fail "tideline down --name $front"; done
fronts=()
