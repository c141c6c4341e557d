"""`ironbucket local`: nodes on this machine to try things on, started, watched and stopped together.

Below the data folder: `secrets/` (made once, mode 0600), `aws.env` (what an S3 client needs), and for each node
`node-N/` with `config.yml`, its payloads, log and state, and what its process prints.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from ironbucket.errors import ConfigurationError, IronBucketError

_HOST = "127.0.0.1"
_READY_WITHIN = 60.0  # seconds, on a slow machine too
_STOP_WITHIN = 35.0  # seconds: a little more than a node's own shutdown_timeout
_RESTARTS = 5  # of one process in a row, each within a second of the one before


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port",
        dest="entrance",
        type=int,
        default=20000,
        metavar="PORT",
        help="port of the S3 endpoint (default: 20000)",
    )
    parser.add_argument(
        "--data", type=Path, default=Path(".local"), metavar="DIR", help="where everything is kept (default: .local)"
    )


def run(arguments: argparse.Namespace) -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    data: Path = arguments.data.absolute()
    _refuse_busy(arguments.entrance)
    _make_secrets(data)
    node = Process("node-1", _configure(data, "node-1", arguments.entrance), data / "node-1" / "server.log")
    processes = [node]
    try:
        for process in processes:
            process.start()
        _await_health(arguments.entrance, processes, stop)
        if not stop.is_set():
            print(_what_to_try(data, arguments.entrance), flush=True)
        _watch(processes, stop)
    finally:
        _stop(processes)
    return 0


@dataclass
class Process:
    """A child with a log file. It gets no Ctrl-C of its own: the launcher stops all in order."""

    name: str
    command: list[str]
    log: Path
    popen: subprocess.Popen[bytes] | None = field(default=None)
    failures: int = 0

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        return self.popen.poll() if self.popen else None

    def last_words(self) -> str:
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-10:])


def _refuse_busy(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise ConfigurationError(
                f"port {port}: {error.strerror}. Stop what uses it, or choose another: --port"
            ) from None


def _make_secrets(data: Path) -> None:
    """Keys are random, made once, and readable by their owner only."""
    folder = data / "secrets"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = {"access_key": "root", "secret_key": secrets.token_hex(20), "cluster_secret": secrets.token_hex(32)}
    for name, text in made.items():
        if not (folder / name).exists():
            _write_private(folder / name, text + "\n")
    key, secret = ((folder / name).read_text().strip() for name in ("access_key", "secret_key"))
    variables = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": "us-east-1"}
    _write_private(data / "aws.env", "".join(f"export {name}={value}\n" for name, value in variables.items()))


def _write_private(path: Path, text: str) -> None:
    """Replace the file; nobody else can read it at any moment."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _configure(data: Path, name: str, port: int) -> list[str]:
    """Write a node's settings; returns the command that runs it."""
    folder = data / name
    folder.mkdir(exist_ok=True)
    settings = {
        "node_id": name,
        "host": _HOST,
        "port": port,
        "access_key_file": "../secrets/access_key",
        "secret_key_file": "../secrets/secret_key",
        "storage_path": f"{folder}/s3",
        "wal_path": f"{folder}/wal/wal.log",
        "state_path": f"{folder}/state/replicator.state",
    }
    config = folder / "config.yml"
    # a JSON string is a YAML string, whatever is in it
    config.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items()), encoding="utf-8")
    return [sys.executable, "-m", "ironbucket", "serve", "--config", str(config)]


def _await_health(port: int, processes: list[Process], stop: threading.Event) -> None:
    for _ in range(int(_READY_WITHIN / 0.1)):
        if stop.wait(0.1) or _healthy(port):
            return
        for process in processes:
            if process.status is not None:
                raise IronBucketError(f"{process.name} ended with status {process.status}:\n{process.last_words()}")
    raise IronBucketError(f"not ready within {_READY_WITHIN:.0f} s; see {processes[0].log}")


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(_HOST, port, timeout=2)
    try:
        connection.request("GET", "/-/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _watch(processes: list[Process], stop: threading.Event) -> None:
    """Until told to stop: start again what ends, as systemd would."""
    while not stop.wait(1.0):
        for process in processes:
            if process.status is None:
                process.failures = 0
                continue
            process.failures += 1
            if process.failures > _RESTARTS:
                raise IronBucketError(f"{process.name} ends again and again:\n{process.last_words()}")
            print(f"{process.name} ended with status {process.status}; starting it again", flush=True)
            process.start()


def _stop(processes: list[Process]) -> None:
    """SIGTERM to each, the last started first; SIGKILL to what is left after its time."""
    for process in reversed(processes):
        if process.popen is not None and process.status is None:
            process.popen.terminate()
    for process in reversed(processes):
        if process.popen is None:
            continue
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.popen.wait(_STOP_WITHIN)
        if process.status is None:
            process.popen.kill()
            process.popen.wait()


def _what_to_try(data: Path, port: int) -> str:
    endpoint = f"http://{_HOST}:{port}"
    try:
        shown = data.relative_to(Path.cwd())
    except ValueError:
        shown = data
    return f"""
IronBucket listens on {endpoint}. Ctrl-C stops it; what is stored stays in {shown}/.

In another terminal, first of all:

    . {shown}/aws.env

aws-cli:

    aws --endpoint-url {endpoint} s3 mb s3://photos
    aws --endpoint-url {endpoint} s3 sync ~/Pictures s3://photos
    aws --endpoint-url {endpoint} s3 ls s3://photos

boto3:

    python3 -c 'import boto3; print(boto3.client("s3", endpoint_url="{endpoint}").list_buckets()["Buckets"])'

curl:

    curl --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" --aws-sigv4 aws:amz:us-east-1:s3 \\
        --header x-amz-content-sha256:UNSIGNED-PAYLOAD {endpoint}/

The log of every change:

    tail -f {shown}/node-1/wal/wal.log
"""
