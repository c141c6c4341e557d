"""What is measured: our own server, started here and pinned, or any other S3 endpoint; and nginx beside it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.harness.process import ACCESS_KEY, SECRET_KEY, NodeProcess, children, free_port
from tests.harness.raw import RawClient, head
from tests.harness.signing import UNSIGNED, Signer, path_of, query_of

#: the core of the server under test, and the core of the client
SERVER_CPU, CLIENT_CPU = "0", "1"


@dataclass
class Target:
    """An S3 endpoint. `pids`: the processes whose CPU counts; empty when they are not known."""

    url: str
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    region: str = "us-east-1"
    pids: list[int] = field(default_factory=list)
    node: NodeProcess | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        assert parts.hostname, self.url
        self.host, self.port = parts.hostname, parts.port or 80
        self.netloc = f"{self.host}:{self.port}"
        self.signer = Signer(self.access_key, self.secret_key, self.region)

    def client(self) -> RawClient:
        return RawClient(f"http://{self.netloc}", self.access_key, self.secret_key, self.region)

    def request(
        self,
        method: str,
        bucket: str,
        key: str = "",
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        digest: str = "",
        length: int | None = None,
    ) -> bytes:
        """A whole signed request as bytes. Good for 15 minutes. `length` without `body`: the head of an upload."""
        path, raw = path_of(bucket, key), query_of(query or {})
        digest = digest or (UNSIGNED if length is not None else hashlib.sha256(body).hexdigest())
        full = self.signer.header(method, self.netloc, path, raw, headers or {}, digest)
        if length is not None or body or method == "PUT":
            full["Content-Length"] = str(len(body) if length is None else length)
        return head(method, f"{path}?{raw}" if raw else path, full) + body

    def make_bucket(self, name: str) -> None:
        answer = self.client().request("PUT", name)
        assert answer.status in (200, 409), str(answer)

    def cpu(self) -> float:
        """CPU seconds of the server so far; 0 when its processes are not known."""
        return sum(cpu_of(pid) for pid in self.pids)


def cpu_of(pid: int) -> float:
    """CPU seconds of a process so far, its threads included."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            words = file.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def own_server(directory: Path, workers: int, cpus: str = "", **settings: object) -> Iterator[Target]:
    """Our server with `workers` processes on `cpus`; log lines of requests are kept, as in production."""
    prefix = ("taskset", "-c", cpus) if cpus else ()
    node = NodeProcess(directory, prefix=prefix, WORKERS=workers, **settings)
    try:
        node.start()
        yield Target(node.endpoint, pids=node.all_pids(), node=node)
    finally:
        if node.running():
            node.stop()
        node.close()


@contextlib.contextmanager
def nginx(directory: Path, files: dict[str, bytes], cpus: str = SERVER_CPU) -> Iterator[Target | None]:
    """nginx with one worker that serves `files`; None where it is not installed."""
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if not program:
        yield None
        return
    root = directory / "nginx"
    (root / "html").mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (root / "html" / name).write_bytes(data)
    port = free_port()
    config = root / "nginx.conf"
    config.write_text(
        f"""daemon off; worker_processes 1; pid {root}/pid; error_log {root}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; default_type text/plain;
  client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3; uwsgi_temp_path {root}/t4;
  scgi_temp_path {root}/t5;
  server {{ listen 127.0.0.1:{port}; root {root}/html; }}
}}
"""
    )
    for path in (directory, root, root / "html"):
        path.chmod(0o755)
    user = ["-g", "user root;"] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        ["taskset", "-c", cpus, program, "-p", str(root), "-c", str(config), *user], stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 10
        while not children(process.pid):
            assert process.poll() is None, (root / "error.log").read_text()
            assert time.monotonic() < deadline, "nginx does not start"
            time.sleep(0.05)
        time.sleep(0.2)
        yield Target(f"http://127.0.0.1:{port}", pids=[process.pid, *children(process.pid)])
    finally:
        process.terminate()
        process.wait()
