"""CPU of one small GET: this server with a minimal application against nginx serving the same file.

    python tests/bench/server_small.py [--seconds 3] [--rounds 3] [--connections 16]

Prints microseconds of server CPU a request for a file of 1 KiB over kept connections, and nginx's share of it. With
--load it prints the p99 of these GETs alone and while clients write durably. Needs nginx; uses wrk when installed, else
a client in Python, which is too slow to load the server but measures the same CPU.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ironbucket.server import workers
from ironbucket.server.sendfile import FileBody

NGINX = """
worker_processes 1; daemon off; pid {root}/nginx.pid; error_log {root}/nginx.err;
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; keepalive_requests 100000000; client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
    server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


def application(root: str) -> Callable[..., Any]:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["REQUEST_METHOD"] == "PUT":
            body = environ["wsgi.input"].read()
            with open(f"{root}/put-{threading.get_ident()}", "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            start_response("200 OK", [])
            return [b""]
        fd = os.open(root + environ["PATH_INFO"], os.O_RDONLY)
        size = os.fstat(fd).st_size
        headers = [
            ("Content-Type", "application/octet-stream"),
            ("Content-Length", str(size)),
            ("ETag", '"d41d8cd98f00b204e9800998ecf8427e"'),
            ("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT"),
            ("Accept-Ranges", "bytes"),
        ]
        start_response("200 OK", headers)
        return FileBody([(fd, 0, size)], lambda: os.close(fd))

    return app


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"nothing listens on port {port}")


def cpu_seconds(parent: int) -> float:
    """Of a process and its children."""
    total = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(entry) == parent or int(fields[1]) == parent:
                total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def load(port: int, target: str, seconds: float, connections: int) -> tuple[int, float]:
    """Requests answered, and their p99 in milliseconds."""
    if shutil.which("wrk"):
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{max(round(seconds), 1)}s",
            "--latency",
            f"http://127.0.0.1:{port}{target}",
        ]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        count = re.search(r"(\d+) requests in", text)
        p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
        if count is None or p99 is None:
            raise SystemExit(text)
        return int(count[1]), float(p99[1]) * {"us": 0.001, "ms": 1, "s": 1000}[p99[2]]
    return load_from_python(port, target, seconds)


def load_from_python(port: int, target: str, seconds: float) -> tuple[int, float]:
    request = f"GET {target} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
    times = []
    with socket.create_connection(("127.0.0.1", port)) as sock:
        end = time.monotonic() + seconds
        while (begin := time.monotonic()) < end:
            sock.sendall(request)
            answer = sock.recv(65536)
            head, _, body = answer.partition(b"\r\n\r\n")
            length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
            while len(body) < length:
                body += sock.recv(65536)
            times.append(time.monotonic() - begin)
    return len(times), statistics.quantiles(times, n=100)[98] * 1000


def write_until(stop: threading.Event, port: int, done: list[int]) -> None:
    request = b"PUT /b/put HTTP/1.1\r\nHost: bench\r\nContent-Length: 1024\r\n\r\n" + bytes(1024)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        while not stop.is_set():
            sock.sendall(request)
            sock.recv(65536)
            done[0] += 1


def serve(root: str, port: int, log: bool) -> None:
    workers.run(
        lambda _: workers.Application(application(root)), host="127.0.0.1", port=port, workers=1, access_log=log
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--load", action="store_true", help="also measure p99 while 8 clients write durably")
    parser.add_argument("--serve", nargs=3, metavar=("ROOT", "PORT", "LOG"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve[0], int(options.serve[1]), options.serve[2] == "log")
        return
    with ExitStack() as stack:
        root = stack.enter_context(tempfile.TemporaryDirectory())
        os.chmod(root, 0o755)  # nginx's worker is another user
        os.mkdir(f"{root}/b")
        Path(f"{root}/b/k").write_bytes(os.urandom(1024))
        ports = {name: free_port() for name in ("nginx", "ours", "ours, access log")}
        Path(f"{root}/nginx.conf").write_text(NGINX.format(root=root, port=ports["nginx"]))
        commands = {"nginx": ["nginx", "-c", f"{root}/nginx.conf"]}
        for name in ("ours", "ours, access log"):
            log = "log" if "log" in name else "no"
            commands[name] = [sys.executable, __file__, "--serve", root, str(ports[name]), log]
        processes = {}
        for name, command in commands.items():
            processes[name] = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            stack.callback(processes[name].wait)
            stack.callback(processes[name].terminate)
            wait_for(ports[name])
        measure(options, ports, {name: process.pid for name, process in processes.items()})
        if options.load:
            measure_under_load(options, ports["ours, access log"])


def measure(options: argparse.Namespace, ports: dict[str, int], pids: dict[str, int]) -> None:
    costs: dict[str, list[float]] = {name: [] for name in ports}
    for _ in range(options.rounds):  # side by side, as the machine's mood changes
        for name, port in ports.items():
            before = cpu_seconds(pids[name])
            count, p99 = load(port, "/b/k", options.seconds, options.connections)
            cost = (cpu_seconds(pids[name]) - before) / count * 1e6
            costs[name].append(cost)
            print(f"{name:18s} {count / options.seconds:9.0f} /s {cost:7.1f} us CPU  p99 {p99:6.2f} ms")
    nginx = statistics.median(costs["nginx"])
    for name, values in costs.items():
        cost = statistics.median(values)
        print(f"{name:18s} median {cost:6.1f} us, {nginx / cost:.2f} x nginx")


def measure_under_load(options: argparse.Namespace, port: int) -> None:
    _, alone = load(port, "/b/k", options.seconds, options.connections)
    stop = threading.Event()
    done = [0]
    writers = [threading.Thread(target=write_until, args=(stop, port, done)) for _ in range(8)]
    for writer in writers:
        writer.start()
    _, loaded = load(port, "/b/k", options.seconds, options.connections)
    stop.set()
    for writer in writers:
        writer.join()
    rate = done[0] / options.seconds
    print(f"p99 of GET: alone {alone:.2f} ms, with {rate:.0f} durable PUT/s {loaded:.2f} ms: {loaded / alone:.1f} x")


if __name__ == "__main__":
    main()
