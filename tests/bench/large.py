"""Large bodies: one object down (whole and in ranges) and up (signed and not), by one stream and by several."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


@dataclass(frozen=True)
class Flow:
    """MB are 10^6 bytes."""

    megabytes: float
    seconds: float

    @property
    def rate(self) -> float:
        return self.megabytes / self.seconds


def download(host: str, port: int, request: bytes, expected: int, seconds: float, cpus: str = "") -> Flow:
    return _run(
        {"kind": "down", "host": host, "port": port, "expected": expected, "seconds": seconds}, [request], cpus
    )[0]


def upload(host: str, port: int, heads: list[bytes], body: Path, seconds: float, cpus: str = "") -> list[Flow]:
    """One process and connection for each of `heads`, all at once; each repeats its upload of the file `body`."""
    return _run({"kind": "up", "host": host, "port": port, "body": str(body), "seconds": seconds}, heads, cpus)


def _run(options: dict[str, object], requests: list[bytes], cpus: str) -> list[Flow]:
    pin = ["taskset", "-c", cpus] if cpus else []
    with tempfile.TemporaryDirectory() as directory:
        processes = []
        for number, request in enumerate(requests):
            path = Path(directory) / str(number)
            path.write_bytes(request)
            text = json.dumps({**options, "request": str(path)})
            processes.append(subprocess.Popen([*pin, sys.executable, __file__, text], stdout=subprocess.PIPE))
        flows = []
        for process in processes:
            output, _ = process.communicate()
            assert process.returncode == 0, "a client failed"
            flows.append(Flow(**json.loads(output)))
    return flows


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- the client process ---------------------------------------------------------------------------------------


def _read_head(sock: socket.socket) -> tuple[bytes, int]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(4096)
        if not piece:
            raise ConnectionError(data)
        data += piece
    top, _, rest = data.partition(b"\r\n\r\n")
    assert top[9:10] == b"2", data
    return top, len(rest)


def _client(options: dict[str, object]) -> dict[str, float]:
    request = Path(str(options["request"])).read_bytes()
    sock = socket.create_connection((str(options["host"]), int(str(options["port"]))))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    step = _down if options["kind"] == "down" else _up
    size = int(str(options.get("expected", 0)))
    file = os.open(str(options["body"]), os.O_RDONLY) if options["kind"] == "up" else -1
    if file >= 0:
        size = os.fstat(file).st_size
    step(sock, request, size, file)  # warm: connection, caches
    total, started = 0, time.perf_counter()
    while time.perf_counter() - started < float(str(options["seconds"])) or not total:
        step(sock, request, size, file)
        total += size
    return {"megabytes": total / 1e6, "seconds": time.perf_counter() - started}


_buffer = bytearray(4 * MIB)


def _down(sock: socket.socket, request: bytes, size: int, _: int) -> None:
    sock.sendall(request)
    _, got = _read_head(sock)
    while got < size:
        # tcp(7): with MSG_TRUNC the bytes are dropped instead of copied, so that the client costs little
        count = sock.recv_into(_buffer, min(len(_buffer), size - got), socket.MSG_TRUNC)
        if not count:
            raise ConnectionError(f"{got} of {size} bytes")
        got += count


def _up(sock: socket.socket, request: bytes, size: int, file: int) -> None:
    sock.sendall(request)
    sent = 0
    while sent < size:
        sent += os.sendfile(sock.fileno(), file, sent, size - sent)
    _read_head(sock)


if __name__ == "__main__":
    print(json.dumps(_client(json.loads(sys.argv[1]))))
