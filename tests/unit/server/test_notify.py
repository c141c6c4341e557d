"""What systemd is told."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ironbucket.server.notify import Notifier, watchdog_seconds


@pytest.mark.parametrize("abstract", [False, True])
def test_send(tmp_path: Path, abstract: bool) -> None:
    name = f"@ironbucket-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0") if abstract else name)
        Notifier(name).send(READY=1, STATUS="serving")
        assert manager.recv(1000) == b"READY=1\nSTATUS=serving"


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Notifier(str(tmp_path / "nothing")).send(READY=1)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().send(READY=1)


def test_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert watchdog_seconds() is None
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    assert watchdog_seconds() == 3.0
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert watchdog_seconds() == 3.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert watchdog_seconds() is None
