"""The local launcher: what it writes, and that it stops what it started."""

import os
import signal
import socket
import stat
import sys
import threading
import time
from pathlib import Path

import pytest

from ironbucket.cli import local
from ironbucket.config import SERVER_NEEDS, load
from ironbucket.errors import ConfigurationError, IronBucketError


def child(tmp_path: Path, code: str) -> local.Process:
    return local.Process("node-1", [sys.executable, "-c", code], tmp_path / "log")


def test_what_is_written_is_a_configuration(tmp_path: Path) -> None:
    data = tmp_path / "it's a: #folder"
    local._make_secrets(data)
    command = local._configure(data, "node-1", 20000)
    settings = load({}, command[-1], needs=SERVER_NEEDS)
    assert settings.storage_path == f"{data}/node-1/s3"
    assert (settings.node_id, settings.host, settings.port) == ("node-1", "127.0.0.1", 20000)
    assert settings.secret_key in (data / "aws.env").read_text()


def test_secrets_are_made_once_and_are_nobody_elses(tmp_path: Path) -> None:
    local._make_secrets(tmp_path)
    before = {path: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    local._make_secrets(tmp_path)
    assert {path: path.read_text() for path in (tmp_path / "secrets").iterdir()} == before
    for path in (*before, tmp_path / "aws.env"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(set(before.values())) == 3


def test_a_port_in_use_is_refused() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigurationError, match="choose another"):
            local._refuse_busy(other.getsockname()[1])


def test_children_are_stopped_by_the_launcher_alone(tmp_path: Path) -> None:
    process = child(tmp_path, "import time; print('up', flush=True); time.sleep(600)")
    process.start()
    assert process.popen is not None
    assert os.getsid(process.popen.pid) != os.getsid(0), "the terminal's Ctrl-C must not reach it"
    local._stop([process])
    assert process.status == -signal.SIGTERM


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_STOP_WITHIN", 0.1)
    process = child(
        tmp_path, "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    process.start()
    while "up" not in process.log.read_text():
        time.sleep(0.01)
    local._stop([process])
    assert process.status == -signal.SIGKILL


def test_a_node_that_ends_before_it_is_ready_is_reported_with_its_words(tmp_path: Path) -> None:
    process = child(tmp_path, "print('the reason'); raise SystemExit(3)")
    process.start()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(IronBucketError, match=r"(?s)status 3.*the reason"):
            local._await_health(silent.getsockname()[1], [process], threading.Event())


def test_what_ends_is_started_again_and_given_up_in_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = child(tmp_path, "print('the reason')")
    process.start()

    class Impatient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert process.popen is not None
            process.popen.wait()
            return False

    with pytest.raises(IronBucketError, match=r"(?s)again and again.*the reason"):
        local._watch([process], Impatient())
    assert capsys.readouterr().out.count("starting it again") == 5
