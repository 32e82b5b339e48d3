# SPDX-License-Identifier: Apache-2.0
"""Transfers over one's own sockets, which are the kernel's or, under `tideline run`, tideline's: the same program either way.

    transfer.py serve ADDRESS PORT                              answers all that is sent; says `ready`
    transfer.py short ADDRESS PORT SIZE COUNT AT_ONCE CONTROL   transfers of SIZE bytes, each on a connection of its own
    transfer.py bulk ADDRESS PORT SECONDS CONTROL               one stream for so long

CONTROL is a name of TCP_CONGESTION. A sender prints one JSON object.
"""

import json
import queue
import socket
import struct
import sys
import threading
import time

CHUNK = bytes(1 << 18)
REPORT = struct.Struct("!QQ")  # bytes that the server has seen, nanoseconds from the first to the end
INFO = struct.Struct("=100xI96xQQ")  # of struct tcp_info: tcpi_total_retrans, tcpi_bytes_sent, tcpi_bytes_retrans


def version(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def answer(peer):
    """Reads to the end, and tells what it was."""
    with peer:
        first, total = 0, 0
        memory = bytearray(1 << 18)
        while size := peer.recv_into(memory):
            first = first or time.monotonic_ns()
            total += size
        peer.sendall(REPORT.pack(total, time.monotonic_ns() - first))


def serve(address, port):
    with socket.create_server((address, port), family=version(address), backlog=1024) as listener:
        print("ready", flush=True)
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=answer, args=(peer,), daemon=True).start()


def connected(address, port, control):
    stream = socket.socket(version(address))
    stream.settimeout(120)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control.encode())
    stream.connect((address, port))
    return stream


def report_of(stream):
    data = b""
    while len(data) < REPORT.size:
        more = stream.recv(REPORT.size - len(data))
        if not more:
            raise ConnectionError("it has ended before its report")
        data += more
    return REPORT.unpack(data)


def short(address, port, size, count, at_once, control):
    """How long from the first write, on a connection that stands, to the server's report."""
    todo, took = queue.SimpleQueue(), []
    for _ in range(count):
        todo.put(None)

    def work():
        while True:
            try:
                todo.get_nowait()
            except queue.Empty:
                return
            with connected(address, port, control) as stream:
                began = time.monotonic_ns()
                stream.sendall(CHUNK[:size])
                stream.shutdown(socket.SHUT_WR)
                total, _ = report_of(stream)
                if total != size:
                    raise ConnectionError(f"{total} bytes arrived")
                took.append(time.monotonic_ns() - began)

    threads = [threading.Thread(target=work) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"took_ns": took}


def bulk(address, port, seconds, control):
    with connected(address, port, control) as stream:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            stream.sendall(CHUNK)
        stream.shutdown(socket.SHUT_WR)
        total, took = report_of(stream)
        _, sent, again = INFO.unpack_from(stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256))
        return {"bytes": total, "elapsed_ns": took, "bytes_sent": sent, "bytes_retransmitted": again}


def main():
    what, address, port, *rest = sys.argv[1:]
    if what == "serve":
        serve(address, int(port))
    elif what == "short":
        print(json.dumps(short(address, int(port), *map(int, rest[:3]), rest[3])))
    else:
        print(json.dumps(bulk(address, int(port), float(rest[0]), rest[1])))


main()
