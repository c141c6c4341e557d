"""The lab's parts that need no root: names, places, what the base's name depends on, who is alive."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).parents[2]
sys.path.insert(0, str(TOP / "molecule"))

from hosts import base, machine, network  # noqa: E402
from hosts.__main__ import main, parser  # noqa: E402
from hosts.settings import LabError, Settings  # noqa: E402


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("LAB_DIR", str(tmp_path))
    monkeypatch.setenv("LAB_NET", "10.99.7")
    return Settings.from_environment()


def test_everything_is_below_one_directory(settings: Settings, tmp_path: Path) -> None:
    places = [settings.key, settings.known_hosts, settings.host("node-1"), base.path(settings)]
    assert all(place.is_relative_to(tmp_path) for place in places)
    assert settings.gateway == "10.99.7.1"


@pytest.mark.parametrize("name", ["", "Node", "1node", "a" * 12, "a/b", "../x", "a b", "node_1"])
def test_a_name_that_no_interface_could_have_is_refused(settings: Settings, name: str) -> None:
    with pytest.raises(LabError, match="cannot be a host"):
        settings.host(name)


def test_the_base_is_another_when_its_contents_are(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    before = base.path(settings)
    assert base.path(settings) == before
    monkeypatch.setattr(base, "DOWNLOADED", ("nginx",))
    assert base.path(settings) != before


def test_a_made_base_is_kept(settings: Settings) -> None:
    base.path(settings).with_suffix(".ok").touch()
    assert base.make(settings) == base.path(settings)


def test_packages_come_from_where_this_machine_gets_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "bookworm http://deb.example/debian\nbookworm-updates http://deb.example/u\nbookworm http://other/debian\n"

    def indextargets(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 0, said, "")

    monkeypatch.setattr(subprocess, "run", indextargets)
    assert base.own_mirror("bookworm") == "http://deb.example/debian"
    assert base.own_mirror("trixie") == "http://deb.example/debian"


def test_a_machine_without_package_lists_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "", ""))
    with pytest.raises(LabError, match="apt-get update"):
        base.own_mirror("bookworm")


def test_a_host_that_is_not_there_cannot_be_started(settings: Settings) -> None:
    with pytest.raises(LabError, match="there is no host node-1"):
        machine.Machine(settings, "node-1").start()


def test_destroying_what_is_not_there_is_no_error(settings: Settings) -> None:
    machine.Machine(settings, "node-1").destroy()


def test_a_host_runs_as_long_as_its_supervisor_does(settings: Settings) -> None:
    host = machine.Machine(settings, "node-1")
    host.directory.mkdir(parents=True)
    assert not host.running
    process = subprocess.Popen(["sleep", "60"])
    (host.directory / "supervisor.pid").write_text(str(process.pid))
    assert host.running
    process.kill()
    # not reaped yet: a zombie is off
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not host.running
    process.wait()
    assert not host.running


def test_a_host_that_is_off_has_no_leader(settings: Settings) -> None:
    with pytest.raises(LabError, match="is off"):
        _ = machine.Machine(settings, "node-1").leader


def test_a_partition_drops_both_ways_between_two_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts: list[str] = []
    monkeypatch.setattr(network, "_nft", scripts.append)
    network.partition("10.88.0.1", "10.88.0.2")
    assert "ip saddr { 10.88.0.1, 10.88.0.2 } ip daddr { 10.88.0.1, 10.88.0.2 } drop" in scripts[0]


def test_a_user_without_root_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["ls"]) == 1
    assert capsys.readouterr().err == "lab: hosts need root\n"


def test_every_command_is_in_the_help() -> None:
    assert parser().usage is not None
    for command in (
        "base",
        "up",
        "start",
        "stop",
        "reboot",
        "kill",
        "cut",
        "heal",
        "partition",
        "sh",
        "rm",
        "ls",
        "purge",
    ):
        assert command in str(parser().usage)
