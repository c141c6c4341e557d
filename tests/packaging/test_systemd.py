"""The units: accepted by systemd, hardened alike, and free of secrets."""

import re
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))


def settings(unit: Path) -> list[str]:
    """The unit's lines without comments, section heads and blank lines."""
    return [line for line in unit.read_text().splitlines() if re.match(r"\w+=", line)]


def test_systemd_accepts_every_unit_and_exposure_is_at_most_1_5() -> None:
    done = subprocess.run([UNITS / "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Overall exposure") == len(SERVICES)


def sandbox(unit: Path) -> list[str]:
    lines = settings(unit)
    return lines[lines.index("NoNewPrivileges=yes") : lines.index("SystemCallErrorNumber=EPERM") + 1]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_every_service_has_the_same_sandbox(unit: Path) -> None:
    common = [line for line in sandbox(UNITS / "ironbucket.service") if not line.startswith("RestrictAddressFamilies=")]
    assert [line for line in sandbox(unit) if not line.startswith("RestrictAddressFamilies=")] == common


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_every_service_runs_as_the_system_user_and_reports_its_failure(unit: Path) -> None:
    lines = settings(unit)
    assert "User=ironbucket" in lines
    assert unit.name.startswith("ironbucket-alert@") or "OnFailure=ironbucket-alert@%n.service" in lines


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_secrets_come_by_credential_only(unit: Path) -> None:
    for line in settings(unit):
        assert line.startswith("LoadCredential=") or "secret" not in line.lower(), line
        assert "access_key" not in line or line.startswith("LoadCredential="), line


def test_replicator_may_write_its_state_and_nothing_else() -> None:
    lines = settings(UNITS / "ironbucket-replicator.service")
    assert [line for line in lines if line.startswith("ReadWritePaths=")] == [
        "ReadWritePaths=/var/lib/ironbucket/state"
    ]
    assert not [line for line in lines if line.startswith(("StateDirectory=", "CacheDirectory=", "LogsDirectory="))]


def test_replicator_started_every_second_meets_no_start_limit() -> None:
    assert "StartLimitIntervalSec=0" in settings(UNITS / "ironbucket-replicator.service")


def test_replication_rounds_cannot_pile_up() -> None:
    timer = settings(UNITS / "ironbucket-replicator.timer")
    assert any(line.startswith("OnUnitInactiveSec=") for line in timer)
    assert not any(line.startswith(("OnCalendar=", "OnUnitActiveSec=")) for line in timer)
