"""What the local launcher writes, which ports it takes, and what it says. tests/cluster runs it."""

import socket
import stat
import subprocess
from pathlib import Path

import pytest

from ironbucket.cli import balancer, local
from ironbucket.config import REPLICATOR_NEEDS, SERVER_NEEDS, load
from ironbucket.errors import ConfigurationError

PORTS = {"node-1": 9001, "node-2": 9002}


def test_what_is_written_is_a_configuration(tmp_path: Path) -> None:
    data = tmp_path / "it's a: #folder"
    local._make_secrets(data)
    command = local._node(data, "node-1", PORTS).command
    settings = load({}, command[-1], needs=SERVER_NEEDS)
    assert settings.storage_path == f"{data}/node-1/s3"
    assert (settings.node_id, settings.host, settings.port) == ("node-1", "127.0.0.1", 9001)
    assert settings.cluster_nodes == ("127.0.0.1:9002",)
    assert settings.secret_key in (data / "aws.env").read_text()
    assert load({}, local._replicator(data, "node-1").command[-1], needs=REPLICATOR_NEEDS).batch_interval == 1000


def test_one_node_is_no_cluster(tmp_path: Path) -> None:
    local._make_secrets(tmp_path)
    command = local._node(tmp_path, "node-1", {"node-1": 9001}).command
    assert load({}, command[-1], needs=SERVER_NEEDS).cluster_nodes == ()


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


def test_a_node_gets_another_port_when_its_own_is_in_use() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        (found,) = local._ports(1, taken)
        assert found != taken
    assert len(set(local._ports(5, 0))) == 5


def test_what_to_try_names_the_way_in(tmp_path: Path) -> None:
    text = local._what_to_try(tmp_path, 20000, PORTS, "")
    assert "http://127.0.0.1:20000 (nginx in front of 2 nodes)" in text
    text = local._what_to_try(tmp_path, 9001, PORTS, "nginx is not installed. This installs it: ...")
    assert "no load balancer" in text
    assert "This installs it" in text


def test_where_nginx_is_missing_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancer, "_find", lambda: None)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(balancer.NoBalancer, match="sudo apt-get install"):
        balancer.program()


def test_root_gets_nginx_installed_without_starting_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran: list[list[str]] = []
    policy = tmp_path / "policy-rc.d"

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        assert policy.read_text().endswith("exit 101\n")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(balancer, "_find", lambda: "/usr/sbin/nginx" if len(ran) == 2 else None)
    monkeypatch.setattr(balancer, "_POLICY", policy)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda *_, **__: "/usr/bin/apt-get")
    monkeypatch.setattr("subprocess.run", run)
    assert balancer.program() == "/usr/sbin/nginx"
    assert [command[:2] for command in ran] == [["apt-get", "update"], ["apt-get", "install"]]
    assert not policy.exists()
