"""`ironbucket serve` and `ironbucket local` as processes: start, reload, stop, and what they refuse."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

OLD, NEW = "the first secret", "the second secret"
PATIENCE = 30.0
CLEAN = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}

Start = Callable[..., subprocess.Popen[bytes]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], object], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def config(tmp_path: Path, port: int) -> Path:
    path = tmp_path / "config.yml"
    settings = {
        "access_key": "root",
        "secret_key": OLD,
        "host": "127.0.0.1",
        "port": port,
        "workers": 2,
        "storage_path": str(tmp_path / "s3"),
        "wal_path": str(tmp_path / "wal" / "wal.log"),
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(settings))
    return path


def change(config: Path, **settings: object) -> None:
    config.write_text(json.dumps(json.loads(config.read_text()) | settings))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def start(log: Path) -> Iterator[Start]:
    """Start a command with its output in the log; ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "ironbucket", *arguments],
                env=CLEAN,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)


def said(log: Path, text: str, times: int = 1) -> None:
    until(lambda: log.read_text().count(text) >= times, lambda: f"{text!r} is not in:\n{log.read_text()}")


def client(port: int, secret: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="root",
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 0}),
    )


def accepted(port: int, secret: str) -> bool:
    try:
        client(port, secret).list_buckets()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "SignatureDoesNotMatch"
        return False
    return True


def test_what_is_written_is_there_after_a_restart(start: Start, config: Path, port: int, log: Path) -> None:
    first = start("serve", "--config", str(config))
    said(log, f"serves 127.0.0.1 port {port}")
    client(port, OLD).create_bucket(Bucket="photos")
    client(port, OLD).put_object(Bucket="photos", Key="a", Body=b"content")
    first.terminate()
    assert first.wait(PATIENCE) == 0
    start("serve", "--config", str(config))
    said(log, f"serves 127.0.0.1 port {port}", times=2)
    assert client(port, OLD).get_object(Bucket="photos", Key="a")["Body"].read() == b"content"


def test_a_reload_takes_new_keys_and_says_what_waits(start: Start, config: Path, port: int, log: Path) -> None:
    process = start("serve", "--config", str(config))
    said(log, "serves")
    assert (accepted(port, OLD), accepted(port, NEW)) == (True, False)
    change(config, secret_key=NEW, port=port + 1)
    process.send_signal(signal.SIGHUP)
    said(log, "only after a restart: PORT")
    for _ in range(4):  # on either worker
        until(lambda: accepted(port, NEW), lambda: log.read_text())
    assert OLD not in log.read_text()
    assert NEW not in log.read_text()


def test_a_reload_of_something_wrong_changes_nothing(start: Start, config: Path, port: int, log: Path) -> None:
    process = start("serve", "--config", str(config))
    said(log, "serves")
    change(config, secret_key=NEW, nonsense=1)
    process.send_signal(signal.SIGHUP)
    said(log, "unknown setting 'nonsense'", times=3)  # the master and both workers
    assert (accepted(port, OLD), accepted(port, NEW)) == (True, False)


def test_a_log_that_is_damaged_is_not_served(start: Start, config: Path, tmp_path: Path, port: int, log: Path) -> None:
    process = start("serve", "--config", str(config))
    said(log, "serves")
    for bucket in ("one", "two", "three"):
        client(port, OLD).create_bucket(Bucket=bucket)
    process.terminate()
    process.wait(PATIENCE)
    wal = tmp_path / "wal" / "wal.log"
    wal.write_bytes(wal.read_bytes().replace(b"\ttwo\t", b"\ttwx\t"))
    assert start("serve", "--config", str(config)).wait(PATIENCE) == 3
    assert "damaged at byte" in log.read_text()


def test_without_keys_it_does_not_start_and_says_what_to_do(start: Start, log: Path) -> None:
    assert start("serve").wait(PATIENCE) == 2
    text = log.read_text()
    assert "ACCESS_KEY is not set: choose" in text
    assert "export SECRET_KEY=$(openssl rand -hex 20)" in text
    assert "Traceback" not in text


def test_a_second_one_on_the_same_log_does_not_start(start: Start, config: Path, log: Path) -> None:
    start("serve", "--config", str(config))
    said(log, "serves")
    assert start("serve", "--config", str(config), "--port", str(free_port())).wait(PATIENCE) == 75
    assert "Stop it first" in log.read_text()


def test_a_port_in_use_is_named(start: Start, config: Path, log: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert start("serve", "--config", str(config), "--port", str(taken)).wait(PATIENCE) == 2
    assert str(taken) in log.read_text()


def test_the_launcher_runs_a_node_and_stops_it(start: Start, tmp_path: Path, port: int, log: Path) -> None:
    data = tmp_path / "data"
    launcher = start("local", "--port", str(port), "--data", str(data))
    said(log, f"IronBucket listens on http://127.0.0.1:{port}")
    secret = (data / "secrets" / "secret_key").read_text().strip()
    assert accepted(port, secret)
    assert secret not in log.read_text()
    launcher.send_signal(signal.SIGINT)
    assert launcher.wait(PATIENCE) == 0
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass
