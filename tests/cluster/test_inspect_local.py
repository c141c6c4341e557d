"""`ironbucket local`: a cluster behind nginx that nothing outlives."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.harness.process import COMMAND, PATIENCE, children, environment, gone, wait_until


class Launcher:
    """`ironbucket local` on ports that the kernel gives."""

    def __init__(self, data: Path, *arguments: str, **settings: str) -> None:
        self.data, self.out = data, data / "out"
        data.mkdir(exist_ok=True)
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [*COMMAND, "local", "--port", "0", "--node-port", "0", "--data", str(data), *arguments],
                env=environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def said(self) -> str:
        return self.out.read_text()

    def await_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.said()
            return "Ctrl-C stops it" in self.said()

        wait_until(ready, "the launcher is ready", 60)

    def endpoint(self) -> str:
        found = re.search(r"IronBucket listens on (http://[\d.:]+)", self.said())
        assert found is not None
        return found[1]

    def node(self, name: str) -> str:
        found = re.search(rf"^    {name} +(http://[\d.:]+)", self.said(), re.MULTILINE)
        assert found is not None
        return found[1]

    def child(self, *words: str) -> int:
        """The process id of the child whose command line has these words."""
        for pid in children(self.process.pid):
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ")
                if all(word in line for word in words):
                    return pid
        return 0

    def client(self, endpoint: str) -> Any:
        keys = [(self.data / "secrets" / name).read_text().strip() for name in ("access_key", "secret_key")]
        return boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=keys[0],
            aws_secret_access_key=keys[1],
            region_name="us-east-1",
        )

    def everything(self) -> list[int]:
        pids = children(self.process.pid)
        return pids + [grandchild for pid in pids for grandchild in children(pid)]


@pytest.fixture
def started(scratch: Path) -> Iterator[list[Launcher]]:
    made: list[Launcher] = []
    yield made
    for one in made:
        one.process.kill()
        one.process.wait()


def there(s3: Any, bucket: str, key: str) -> bool:
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError:
        return False
    return True


def test_a_cluster_behind_nginx(scratch: Path, started: list[Launcher]) -> None:
    launcher = Launcher(scratch / "data", "--nodes", "3")
    started.append(launcher)
    launcher.await_ready()
    assert "nginx in front of 3 nodes" in launcher.said()
    s3 = launcher.client(launcher.endpoint())
    s3.create_bucket(Bucket="photos")
    s3.put_object(Bucket="photos", Key="a", Body=b"x")
    for name in ("node-1", "node-2", "node-3"):
        one = launcher.client(launcher.node(name))
        wait_until(lambda one=one: there(one, "photos", "a"), f"{name} has it")

    config = str(launcher.data / "node-2" / "config.yml")
    before = launcher.child("serve", config)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: launcher.child("serve", config) not in (0, before), "node-2 is started again")
    assert "node-2 ended with status -9; starting it again" in launcher.said()
    two = launcher.client(launcher.node("node-2"))

    def serves() -> bool:
        with contextlib.suppress(Exception):
            return there(two, "photos", "a")
        return False

    wait_until(serves, "node-2 serves again")
    assert there(s3, "photos", "a")

    pids = launcher.everything()
    assert len(pids) >= 3 + 3 + 1
    launcher.process.send_signal(signal.SIGINT)
    assert launcher.process.wait(PATIENCE) == 0
    assert [pid for pid in pids if not gone(pid)] == []


def test_nothing_outlives_a_launcher_that_is_killed(scratch: Path, started: list[Launcher]) -> None:
    launcher = Launcher(scratch / "data")
    started.append(launcher)
    launcher.await_ready()
    pids = launcher.everything()
    launcher.process.kill()
    launcher.process.wait()
    for pid in pids:
        wait_until(lambda pid=pid: gone(pid), f"process {pid} ended")
    again = Launcher(scratch / "data")
    started.append(again)
    again.await_ready()
    assert "nginx in front of 2 nodes" in again.said()


def test_without_nginx_a_node_is_the_way_in(scratch: Path, started: list[Launcher]) -> None:
    launcher = Launcher(scratch / "data", "--nodes", "1", "--no-balancer")
    started.append(launcher)
    launcher.await_ready()
    assert launcher.endpoint() == launcher.node("node-1")
    launcher.client(launcher.endpoint()).create_bucket(Bucket="photos")
