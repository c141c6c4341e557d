"""`ironbucket local`: a cluster on this machine to try things on, started, watched and stopped together.

Below the data folder: `secrets/` (made once, mode 0600), `aws.env` (what an S3 client needs), `nginx/`, and for each
node `node-N/` with `config.yml`, its payloads, log and state, and what its processes print.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import sys
import threading
from pathlib import Path

from ironbucket.cli.balancer import NoBalancer, balancer, program
from ironbucket.cli.processes import HOST, Process, await_health, stop_all, watch
from ironbucket.errors import ConfigurationError

_FIRST_PORT = 9001
_BATCH_INTERVAL = 1000  # milliseconds
_MOST_NODES = 8


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nodes", type=_nodes, default=2, metavar="N", help="how many nodes, 1 to 8 (default: 2)")
    parser.add_argument(
        "--port",
        dest="entrance",
        type=int,
        default=20000,
        metavar="PORT",
        help="port of the S3 endpoint, 0 for any that is free (default: 20000)",
    )
    parser.add_argument(
        "--node-port",
        type=int,
        default=_FIRST_PORT,
        metavar="PORT",
        help=f"port of the first node, the others follow; one in use is replaced by any that is free, "
        f"and 0 does so for all (default: {_FIRST_PORT})",
    )
    parser.add_argument(
        "--no-balancer", action="store_true", help="without nginx: each node is reached at its own port"
    )
    parser.add_argument(
        "--data", type=Path, default=Path(".local"), metavar="DIR", help="where everything is kept (default: .local)"
    )


def _nodes(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_NODES:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {_MOST_NODES}")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    data: Path = arguments.data.absolute()
    entrance = arguments.entrance or _free_port()
    _refuse_busy(entrance)
    _make_secrets(data)
    ports = {f"node-{i + 1}": port for i, port in enumerate(_ports(arguments.nodes, arguments.node_port))}
    nodes = [_node(data, name, ports) for name in ports]
    others = [_replicator(data, name) for name in ports if len(ports) > 1]
    missing = ""
    try:
        if arguments.no_balancer:
            raise NoBalancer("--no-balancer was given")
        others.append(balancer(program(), data / "nginx", entrance, list(ports.items())))
    except NoBalancer as reason:
        missing, entrance = str(reason), ports["node-1"]
    processes = nodes + others
    try:
        _start(nodes, list(ports.values()), stop)
        _start(others, [entrance], stop)
        if not stop.is_set():
            print(_what_to_try(data, entrance, ports, missing), flush=True)
        watch(processes, stop)
    finally:
        stop_all(processes)
    return 0


def _start(processes: list[Process], ports: list[int], stop: threading.Event) -> None:
    """Start them; return when all ports answer."""
    if stop.is_set():
        return
    for process in processes:
        process.start()
    for port in ports:
        await_health(port, processes, stop)


def _ports(count: int, first: int) -> list[int]:
    """Ports for the nodes: `first` and those after it, where they are free, else any."""
    held, found = [], []
    try:
        for i in range(count):
            listener = socket.socket()
            held.append(listener)  # until all are chosen, so that none is chosen twice
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, first + i if first else 0))
            except OSError:
                listener.bind((HOST, 0))
            found.append(int(listener.getsockname()[1]))
    finally:
        for listener in held:
            listener.close()
    return found


def _free_port() -> int:
    (port,) = _ports(1, 0)
    return port


def _refuse_busy(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
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


def _node(data: Path, name: str, ports: dict[str, int]) -> Process:
    """Write a node's settings; returns its server, not yet started."""
    folder = data / name
    folder.mkdir(exist_ok=True)
    settings: dict[str, object] = {
        "node_id": name,
        "host": HOST,
        "port": ports[name],
        # the processors are shared by all nodes
        "workers": max(len(os.sched_getaffinity(0)) // len(ports), 1),
        "access_key_file": "../secrets/access_key",
        "secret_key_file": "../secrets/secret_key",
        "storage_path": f"{folder}/s3",
        "wal_path": f"{folder}/wal/wal.log",
        "state_path": f"{folder}/state/replicator.state",
    }
    if len(ports) > 1:
        settings |= {
            "cluster_nodes": ",".join(f"{HOST}:{port}" for other, port in ports.items() if other != name),
            "cluster_secret_file": "../secrets/cluster_secret",
            "batch_interval": _BATCH_INTERVAL,
        }
    # a JSON string is a YAML string, whatever is in it
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items())
    (folder / "config.yml").write_text(text, encoding="utf-8")
    return Process(name, _command(data, name, "serve"), folder / "server.log")


def _replicator(data: Path, name: str) -> Process:
    command = _command(data, name, "replicate", "--watch")
    return Process(f"{name}'s replicator", command, data / name / "replicator.log")


def _command(data: Path, name: str, *command: str) -> list[str]:
    return [sys.executable, "-m", "ironbucket", *command, "--config", str(data / name / "config.yml")]


def _what_to_try(data: Path, entrance: int, ports: dict[str, int], missing: str) -> str:
    endpoint = f"http://{HOST}:{entrance}"
    try:
        shown = data.relative_to(Path.cwd())
    except ValueError:
        shown = data
    program = sys.argv[0] if os.path.basename(sys.argv[0]) == "ironbucket" else f"{sys.executable} -m ironbucket"
    nodes = "\n".join(f"    {name}  http://{HOST}:{port}  {shown}/{name}/" for name, port in ports.items())
    front = "nginx in front of" if not missing else "no load balancer, this is node-1 of"
    note = (
        f"\nWithout a load balancer: {missing}\nUntil then each node is reached at its own port.\n" if missing else ""
    )
    return f"""
IronBucket listens on {endpoint} ({front} {len(ports)} nodes).
Ctrl-C stops it; what is stored stays in {shown}/.
{note}
{nodes}

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

The log of every change that came through node-1, and how far the other nodes have it:

    tail -f {shown}/node-1/wal/wal.log
    {program} status --config {shown}/node-1/config.yml
    {program} verify --config {shown}/node-1/config.yml
"""
