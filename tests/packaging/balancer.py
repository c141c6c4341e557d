"""A real nginx with the project's configuration, in front of small backends that record what reaches them."""

from __future__ import annotations

import contextlib
import http.server
import importlib.machinery
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).parents[2]


def _load_renderer() -> Any:
    loader = importlib.machinery.SourceFileLoader("nginx_render", str(TOP / "nginx" / "render"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


render = _load_renderer().render


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Backend(http.server.ThreadingHTTPServer):
    """A node's stand-in. `seen`: one (method, raw path, headers, body size) for each request that came in whole."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, name: str, port: int = 0) -> None:
        self.name = name
        self.seen: list[tuple[str, str, dict[str, str], int]] = []
        self.arrived = threading.Event()  # the first bytes of a body
        self.hangs_up = False  # True: takes the request and closes without an answer
        self.download = b""
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)
        self.port = int(self.server_address[1])
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def finish_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().finish_request(request, client_address)
        self._open.discard(request)

    def stop(self) -> None:
        """Close every connection and refuse new ones."""
        self.shutdown()
        self.server_close()
        self._thread.join()
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):  # it has closed by itself
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Backend

    def _answer(self) -> None:
        backend = self.server
        size = 0
        for block in self._body():
            size += len(block)
            backend.arrived.set()
        backend.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, size))
        if backend.hangs_up:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        content = backend.download or backend.name.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("x-amz-request-id", "0123456789ABCDEF")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _body(self) -> Any:
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            block = self.rfile.read1(min(left, 65536))  # type: ignore[attr-defined]
            if not block:
                return
            left -= len(block)
            yield block

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

    def log_message(self, *args: object) -> None:
        """Say nothing: the tests look at `seen`."""


class Balancer:
    """nginx on loopback, unprivileged paths, in `directory`."""

    def __init__(
        self, directory: Path, backends: list[Backend], drained: tuple[str, ...] = (), **variables: Any
    ) -> None:
        self.directory = directory
        self.port = free_port()
        (directory / "temp").mkdir()
        upstream = [{"name": b.name, "address": f"127.0.0.1:{b.port}", "drained": b.name in drained} for b in backends]
        configuration = directory / "nginx.conf"
        # root needs a user to drop to; that user is not allowed into pytest's directories, so root stays root here
        defaults = {
            "upstream": upstream,
            "user": "root" if os.getuid() == 0 else "",
            "address": "127.0.0.1",
            "port": self.port,
            "pid_file": f"{directory}/pid",
            "access_log": f"{directory}/access.log",
            "error_log": f"{directory}/error.log",
            "temp_directory": f"{directory}/temp",
            "socket": f"{directory}/once.sock",
            "workers": 1,
            "worker_connections": 256,
        }
        configuration.write_text(render(**defaults | variables))
        command = [nginx(), "-p", str(directory), "-c", str(configuration), "-e", f"{directory}/error.log"]
        tested = subprocess.run([*command, "-t"], capture_output=True, text=True)
        assert tested.returncode == 0, tested.stderr
        self._process = subprocess.Popen([*command, "-g", "daemon off;"])
        self._await_listener()

    def _await_listener(self) -> None:
        for _ in range(500):
            assert self._process.poll() is None, (self.directory / "error.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError("nginx does not listen")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _workers(self) -> list[int]:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return [int(child) for child in children.split()]

    def stall(self) -> None:
        """Stop nginx in its tracks; the kernel goes on taking what clients send."""
        for worker in self._workers():
            os.kill(worker, signal.SIGSTOP)

    def resume(self) -> None:
        for worker in self._workers():
            os.kill(worker, signal.SIGCONT)

    def errors(self) -> str:
        return (self.directory / "error.log").read_text()

    def spooled(self) -> list[Path]:
        """Files that nginx wrote bodies to."""
        return [path for path in (self.directory / "temp").rglob("*") if path.is_file()]

    def log(self, lines: int) -> list[dict[str, Any]]:
        """The access log, once it has `lines` lines (nginx writes a line after the answer has gone)."""
        found: list[dict[str, Any]] = []
        for _ in range(500):
            found = [json.loads(line) for line in (self.directory / "access.log").read_text().splitlines()]
            if len(found) >= lines:
                return found
            time.sleep(0.01)
        raise AssertionError(f"{len(found)} lines in the access log, not {lines}")


def nginx() -> str:
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not found:
        pytest.fail("nginx is not installed (Debian: apt-get install nginx)")
    return found
