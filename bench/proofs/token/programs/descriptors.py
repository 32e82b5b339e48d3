# SPDX-License-Identifier: Apache-2.0
"""descriptors.py CASE: what programs do with the numbers of sockets. Any difference raises."""
import array
import errno
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import threading

ADDRESS = ("198.18.0.1", 7100)


def pair():
    """A connection, both ends in this process."""
    with socket.socket() as listener:
        listener.bind(ADDRESS)
        listener.listen(4)
        client = socket.create_connection(ADDRESS)
        return client, listener.accept()[0]


def read_all(sock):
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def case_exec():
    """An unmodified program gets a token as its standard input and output, and serves on it."""
    client, server = pair()
    child = subprocess.Popen(["/bin/cat"], stdin=server, stdout=server)
    server.close()
    data = os.urandom(1000000)
    writer = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
    writer.start()
    assert read_all(client) == data
    writer.join()
    assert child.wait() == 0


def case_exec_number():
    """The same with a high number and a listener: the new image accepts on it."""
    listener = socket.socket()
    listener.bind(ADDRESS)
    listener.listen(4)
    client = socket.create_connection(ADDRESS)
    os.dup2(listener.fileno(), 77, inheritable=True)
    listener.close()
    code = ("import socket; s = socket.socket(fileno=77); c = s.accept()[0]; "
            "c.sendall(c.recv(100).upper()); print(s.getsockname()[1])")
    child = subprocess.Popen([sys.executable, "-c", code], pass_fds=[77], stdout=subprocess.PIPE)
    os.close(77)
    client.sendall(b"hello")
    assert read_all(client) == b"HELLO"
    assert child.communicate()[0].strip() == b"7100" and child.returncode == 0


def case_rights():
    """A token sent to another program; both use it, and the last close ends the connection."""
    client, server = pair()
    ours, theirs = socket.socketpair()
    code = ("import array, socket; u = socket.socket(fileno=0); "
            "_, rights, _, _ = u.recvmsg(1, 100); "
            "s = socket.socket(fileno=array.array('i', rights[0][2])[0]); u.send(b'.')\n"
            "for _ in range(2000): s.sendall(b'B' * 100 + b'\\n')\n"
            "assert s.recv(5) == b'hello'\n"
            "u.send(b'.'); u.recv(1)\n")
    child = subprocess.Popen([sys.executable, "-c", code], stdin=theirs)
    theirs.close()
    ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [server.fileno()]))])
    assert ours.recv(1) == b"."
    received = []
    reader = threading.Thread(target=lambda: received.append(read_all(client)))
    reader.start()
    for _ in range(2000):
        server.sendall(b"A" * 100 + b"\n")
    client.sendall(b"hello")
    assert ours.recv(1) == b"."
    server.close()  # the other still holds it
    reader.join(0.1)
    assert reader.is_alive(), "EOF before the last duplicate was closed"
    ours.send(b"x")
    assert child.wait() == 0
    reader.join()
    # As with TCP, a send may be cut where the buffer is full, and the other's bytes come between.
    counts = [received[0].count(byte) for byte in (b"A", b"B", b"\n")]
    assert counts == [200000, 200000, 4000] and len(received[0]) == 404000, counts


def case_fork():
    """Two processes that share one connection by fork write to it and read from it."""
    client, server = pair()
    total = 40
    children = []
    for number in range(4):
        if (pid := os.fork()) == 0:
            client.close()
            for _ in range(total):
                server.sendall(bytes([65 + number]) * 1000)
            os._exit(0)
        children.append(pid)
    server.close()
    data = read_all(client)
    assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
    assert [data.count(byte) for byte in b"ABCD"] == [total * 1000] * 4
    assert len(data) == 4 * total * 1000


def case_dup():
    client, server = pair()
    copy = socket.socket(fileno=os.dup(server.fileno()))
    os.dup2(server.fileno(), 90)
    server.close()
    client.sendall(b"abc")
    assert copy.recv(1) == b"a" and os.read(90, 1) == b"b"
    copy.setblocking(False)  # a property of the open file, so of every duplicate
    os.read(90, 1)
    try:
        os.read(90, 1)
        raise AssertionError("the duplicate blocks")
    except BlockingIOError:
        pass
    os.dup2(os.open("/dev/null", os.O_RDONLY), 90)  # replaces the token
    assert os.read(90, 1) == b""
    copy.sendall(b"x")
    assert client.recv(1) == b"x"
    assert stat.S_ISSOCK(os.fstat(copy.fileno()).st_mode)
    os.closerange(copy.fileno(), copy.fileno() + 1)
    assert client.recv(1) == b""
    copy.detach()


def case_half_close():
    client, server = pair()
    epoll = select.epoll()
    epoll.register(client, select.EPOLLIN | select.EPOLLRDHUP)
    assert epoll.poll(0) == []
    server.shutdown(socket.SHUT_WR)
    events = epoll.poll(5)
    assert events == [(client.fileno(), select.EPOLLIN | select.EPOLLRDHUP)], events
    assert client.recv(10) == b""
    data = os.urandom(300000)
    writer = threading.Thread(target=lambda: client.sendall(data))
    writer.start()
    got = b""
    while len(got) < len(data):
        got += server.recv(65536)
    writer.join()
    assert got == data
    try:
        server.send(b"x")
        raise AssertionError("sent after SHUT_WR")
    except BrokenPipeError:
        pass
    client.close()
    assert server.recv(10) == b""


def case_kill():
    """kill -9 of one process: the other reads what was sent, then the end; its writes fail."""
    for unread in (False, True):
        client, server = pair()
        ready, go = os.pipe()
        if (pid := os.fork()) == 0:
            client.close()
            server.sendall(b"last words")
            os.write(go, b"x")
            signal.pause()
        server.close()
        os.read(ready, 1)
        if unread:
            client.sendall(b"never read")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert client.recv(100) == b"last words"
        try:
            assert client.recv(100) == b"" and not unread
        except ConnectionResetError:
            assert unread
        try:
            client.send(b"x")
            raise AssertionError("sent to the dead")
        except (BrokenPipeError, ConnectionResetError):
            pass


def case_epoll():
    """Edge, one-shot and level on one token, as the kernel has them."""
    client, server = pair()
    server.setblocking(False)
    edge, once, level = select.epoll(), select.epoll(), select.epoll()
    number = server.fileno()
    edge.register(number, select.EPOLLIN | select.EPOLLET)
    once.register(number, select.EPOLLIN | select.EPOLLONESHOT)
    level.register(number, select.EPOLLIN)
    for epoll in (edge, once, level):
        assert epoll.poll(0) == []
    client.sendall(b"ab")
    there = [(number, select.EPOLLIN)]
    assert edge.poll(5) == there and edge.poll(0.01) == []
    assert once.poll(5) == there and once.poll(0.01) == []
    assert level.poll(5) == there and level.poll(0) == there
    client.sendall(b"c")
    assert edge.poll(5) == there, "new bytes are a new edge though old ones were left"
    assert once.poll(0.01) == []
    once.modify(number, select.EPOLLIN | select.EPOLLONESHOT)
    assert once.poll(5) == there
    assert server.recv(10) == b"abc" and level.poll(0) == []
    level.modify(number, select.EPOLLOUT)
    assert level.poll(5) == [(number, select.EPOLLOUT)]
    while True:
        try:
            server.send(b"x" * 10000)
        except BlockingIOError:
            break
    assert level.poll(0.01) == []
    drain = threading.Thread(target=lambda: client.recv(65536))
    drain.start()
    assert level.poll(5) == [(number, select.EPOLLOUT)]
    drain.join()
    server.close()
    assert level.poll(0) == []


def case_connect():
    """Refused, non-blocking, and addresses; a kernel connection beside it is untouched."""
    sock = socket.socket()
    assert sock.connect_ex(("198.18.0.9", 1)) == errno.ECONNREFUSED
    client, server = pair()
    assert client.getpeername() == ADDRESS and server.getsockname() == ADDRESS
    assert server.getpeername() == client.getsockname()
    client.settimeout(0.05)
    try:
        client.recv(1)
        raise AssertionError("no time-out")
    except TimeoutError:
        pass
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        other = socket.create_connection(listener.getsockname())
        accepted = listener.accept()[0]
        other.sendall(b"kernel")
        assert accepted.recv(10) == b"kernel"
    sock.close()


globals()["case_" + sys.argv[1]]()
