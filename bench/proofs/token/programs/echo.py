# SPDX-License-Identifier: Apache-2.0
"""echo.py WAY SEED: an echo server and its clients, two processes that both wait by WAY.

WAY is select, poll, epoll (level-triggered) or edge. Messages of random sizes, up to three times a
FIFO, are verified byte for byte. The server's set also holds a pipe, an eventfd and an AF_UNIX socket,
which are used throughout. Prints the number of messages; any difference raises.
"""
import os
import random
import select
import socket
import sys

ADDRESS = ("198.18.0.1", 7000)
CONNECTIONS = 24
MESSAGES = 120  # on each connection


class ByPoll:
    def __init__(self):
        self.poll = select.poll()

    def watch(self, fd, write=False):
        self.poll.register(fd, select.POLLIN | (select.POLLOUT if write else 0))

    def forget(self, fd):
        self.poll.unregister(fd)

    def wait(self):
        for fd, events in self.poll.poll(20000):
            yield fd, bool(events & ~select.POLLOUT), bool(events & select.POLLOUT)


class BySelect:
    def __init__(self):
        self.reading, self.writing = set(), set()

    def watch(self, fd, write=False):
        self.reading.add(fd)
        (self.writing.add if write else self.writing.discard)(fd)

    def forget(self, fd):
        self.reading.discard(fd)
        self.writing.discard(fd)

    def wait(self):
        readable, writable, _ = select.select(self.reading, self.writing, [], 20)
        for fd in set(readable) | set(writable):
            yield fd, fd in readable, fd in writable


class ByEpoll:
    def __init__(self, edge):
        self.epoll = select.epoll()
        self.edge = edge
        self.known = set()

    def watch(self, fd, write=False):
        events = select.EPOLLIN | select.EPOLLRDHUP
        if self.edge:  # watched once, for both
            events |= select.EPOLLOUT | select.EPOLLET
        elif write:
            events |= select.EPOLLOUT
        if fd not in self.known:
            self.known.add(fd)
            self.epoll.register(fd, events)
        elif not self.edge:
            self.epoll.modify(fd, events)

    def forget(self, fd):
        self.known.discard(fd)
        self.epoll.unregister(fd)

    def wait(self):
        for fd, events in self.epoll.poll(20):
            yield fd, bool(events & ~select.EPOLLOUT), bool(events & select.EPOLLOUT)


def waiter(way):
    return {"select": BySelect, "poll": ByPoll, "epoll": lambda: ByEpoll(False),
            "edge": lambda: ByEpoll(True)}[way]()


class Pipe:
    """One end of a connection: what is still to be sent, and reading and writing until EAGAIN."""

    def __init__(self, sock):
        sock.setblocking(False)
        self.sock, self.pending, self.open = sock, bytearray(), True

    def flush(self):
        try:
            while self.pending:
                del self.pending[:self.sock.send(self.pending)]
        except BlockingIOError:
            pass

    def drain(self):
        got = bytearray()
        try:
            while True:
                piece = self.sock.recv(50000)
                if not piece:
                    self.open = False
                    return got
                got += piece
        except BlockingIOError:
            return got


def serve(way, listener, stop, bell, friend):
    """Echoes until `stop` has a byte; counts what comes on the kernel's descriptors beside it."""
    wait = waiter(way)
    ends, beside = {}, 0
    listener.setblocking(False)
    for fd in (listener.fileno(), stop, bell, friend.fileno()):
        wait.watch(fd)
    while True:
        progressed = False
        for fd, readable, writable in wait.wait():
            progressed = True
            if fd == listener.fileno():
                try:
                    while True:
                        end = Pipe(listener.accept()[0])
                        ends[end.sock.fileno()] = end
                        wait.watch(end.sock.fileno())
                except BlockingIOError:
                    continue
            elif fd not in ends and not readable:
                continue
            elif fd == stop:
                os.read(stop, 1)
                return beside
            elif fd == bell:
                beside += os.eventfd_read(bell)
            elif fd == friend.fileno():
                beside += len(friend.recv(100))
            else:
                end = ends[fd]
                if readable:
                    end.pending += end.drain()
                end.flush()
                if not end.open and not end.pending:
                    wait.forget(fd)
                    ends.pop(fd).sock.close()
                else:
                    wait.watch(fd, write=bool(end.pending))
        assert progressed, "the server waited 20 s for nothing"


def ask(way, seed, bell, friend):
    """Runs the clients; returns how many bytes and wakes it sent beside the messages."""
    rng = random.Random(seed)
    noise = rng.randbytes(400000)
    wait = waiter(way)
    ends, beside, done = {}, 0, 0
    for _ in range(CONNECTIONS):
        sock = socket.socket()
        sock.setblocking(False)
        assert sock.connect_ex(ADDRESS) in (0, 115)  # EINPROGRESS
        end = Pipe(sock)
        end.left, end.expected, end.got = MESSAGES, b"", bytearray()
        ends[sock.fileno()] = end
        wait.watch(sock.fileno(), write=True)
    while ends:
        progressed = False
        for fd, readable, writable in wait.wait():
            progressed = True
            end = ends[fd]
            if readable:
                end.got += end.drain()
                assert end.open, "a connection ended early"
            if len(end.got) >= len(end.expected):
                assert end.got == end.expected, "wrong bytes"
                end.got.clear()
                if end.left == 0:
                    wait.forget(fd)
                    ends.pop(fd).sock.close()
                    continue
                assert end.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
                end.left -= 1
                done += 1
                start, size = rng.randrange(200000), int(2 ** rng.uniform(0, 17.5))
                end.expected = noise[start:start + size]
                end.pending += end.expected
                if done % 50 == 0:
                    os.eventfd_write(bell, 2)
                    friend.send(b"abc")
                    beside += 5
            end.flush()
            wait.watch(fd, write=bool(end.pending))
        assert progressed, "the clients waited 20 s for nothing"
    assert done == CONNECTIONS * MESSAGES
    return beside


def main():
    way, seed = sys.argv[1], int(sys.argv[2])
    listener = socket.socket()
    listener.bind(ADDRESS)
    listener.listen(CONNECTIONS)
    stop, stopper = os.pipe()
    report, reporter = os.pipe()
    bell = os.eventfd(0)
    friend, friends_friend = socket.socketpair()
    server = os.fork()
    if server == 0:
        os.write(reporter, b"%d" % serve(way, listener, stop, bell, friend))
        os._exit(0)
    listener.close()
    beside = ask(way, seed, bell, friends_friend)
    os.write(stopper, b"x")
    assert os.waitpid(server, 0)[1] == 0, "the server failed"
    # What was sent last may still lie there when the server is told to stop.
    seen = int(os.read(report, 100))
    assert 0 < seen <= beside, (seen, beside)
    print(CONNECTIONS * MESSAGES)


main()
