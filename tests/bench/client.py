"""The client process: ready-made requests in turn over kept connections, one epoll loop, latencies as JSON.

Started by load.py with its options as one JSON argument; imports nothing of the project, to start fast and stay small.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from typing import Any


def unframe(data: bytes) -> list[bytes]:
    """The requests of a file: each is its length in decimal, LF, that many bytes, LF."""
    found, at = [], 0
    while at < len(data):
        end = data.index(b"\n", at)
        length = int(data[at:end])
        found.append(data[end + 1 : end + 1 + length])
        at = end + 2 + length
    return found


class Connection:
    """One request at a time."""

    __slots__ = ("bodiless", "due", "missing", "received", "sent", "sock", "status")

    def __init__(self, host: str, port: int, due: float, *, bodiless: bool) -> None:
        self.sock = socket.create_connection((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.bodiless = bodiless
        self.due = due  # when the next request is to be sent
        self.sent = 0.0
        self.received = b""
        self.missing = -1  # bytes of the body that are still to come; -1 while the head is
        self.status = b""

    def send(self, request: bytes, now: float) -> None:
        self.sent = now
        self.sock.sendall(request)

    def receive(self) -> bool:
        """Whether the answer is complete."""
        data = self.sock.recv(262144)
        if not data:
            raise ConnectionError("the server closed a connection")
        if self.missing >= 0:
            self.missing -= len(data)
        else:
            data = self.received + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.received = data
                return False
            self.received = b""
            self.status = data[9:10]
            self.missing = (0 if self.bodiless else content_length(data, end)) - (len(data) - end - 4)
        if self.missing > 0:
            return False
        self.missing = -1
        return True


def content_length(data: bytes, end: int) -> int:
    at = data.find(b"ontent-Length: ", 0, end)
    if at < 0:
        at = data.lower().find(b"ontent-length: ", 0, end)
    return int(data[at + 15 : data.index(b"\r\n", at)]) if at >= 0 else 0


def run(options: dict[str, Any]) -> dict[str, float]:
    with open(options["requests"], "rb") as file:
        requests = unframe(file.read())
    count, rate = options["connections"], options["rate"]
    interval = count / rate if rate else 0.0
    clock = time.perf_counter
    poller = select.epoll()
    connections: dict[int, Connection] = {}
    begin = clock()
    for position in range(count):
        due = begin + interval * position / count
        connection = Connection(options["host"], options["port"], due, bodiless=options["bodiless"])
        connections[connection.sock.fileno()] = connection
        poller.register(connection.sock.fileno(), select.EPOLLIN)
    latencies: list[float] = []
    errors = number = 0
    idle = list(connections.values())
    cpu, started = time.process_time(), clock()
    finish = started + options["seconds"]
    while (now := clock()) < finish:
        ready = [connection for connection in idle if connection.due <= now]
        idle = [connection for connection in idle if connection.due > now] if interval else []
        for connection in ready:
            connection.send(requests[number % len(requests)], clock())
            number += 1
        for fd, _ in poller.poll(max(0.0, min([finish, *(connection.due for connection in idle)]) - clock())):
            connection = connections[fd]
            if connection.receive():
                now = clock()
                errors += connection.status != b"2"
                latencies.append(now - connection.sent)
                connection.due = max(connection.due + interval, now) if interval else 0.0
                idle.append(connection)
    return summary(latencies, errors, clock() - started, time.process_time() - cpu)


def summary(latencies: list[float], errors: int, seconds: float, cpu: float) -> dict[str, float]:
    """Latencies in microseconds."""
    latencies.sort()

    def percentile(share: float) -> float:
        return latencies[min(len(latencies) - 1, int(len(latencies) * share))] * 1e6 if latencies else 0.0

    return {
        "count": len(latencies),
        "seconds": seconds,
        "p50": percentile(0.5),
        "p99": percentile(0.99),
        "longest": percentile(1.0),
        "errors": errors,
        "client_cpu": cpu,
    }


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))))
