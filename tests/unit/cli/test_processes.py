"""Child processes of a launcher: it stops what it started, and starts again what ends."""

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from ironbucket.cli import processes
from ironbucket.errors import IronBucketError


def child(tmp_path: Path, code: str) -> processes.Process:
    return processes.Process("node-1", [sys.executable, "-c", code], tmp_path / "log")


def test_children_are_stopped_by_the_launcher_alone(tmp_path: Path) -> None:
    process = child(tmp_path, "import time; print('up', flush=True); time.sleep(600)")
    process.start()
    assert process.popen is not None
    assert os.getsid(process.popen.pid) != os.getsid(0), "the terminal's Ctrl-C must not reach it"
    processes.stop_all([process])
    assert process.status == -signal.SIGTERM


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_WITHIN", 0.1)
    process = child(
        tmp_path, "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    process.start()
    while "up" not in process.log.read_text():
        time.sleep(0.01)
    processes.stop_all([process])
    assert process.status == -signal.SIGKILL


def test_a_node_that_ends_before_it_is_ready_is_reported_with_its_words(tmp_path: Path) -> None:
    process = child(tmp_path, "print('the reason'); raise SystemExit(3)")
    process.start()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(IronBucketError, match=r"(?s)status 3.*the reason"):
            processes.await_health(silent.getsockname()[1], [process], threading.Event())


def test_what_ends_is_started_again_and_given_up_in_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = child(tmp_path, "print('the reason')")
    process.start()

    class Impatient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert process.popen is not None
            process.popen.wait()
            return False

    with pytest.raises(IronBucketError, match=r"(?s)again and again.*the reason"):
        processes.watch([process], Impatient())
    assert capsys.readouterr().out.count("starting it again") == 5
