"""`ironbucket scrub`: what is wrong on this disk is found, leftovers go."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ironbucket import cli
from ironbucket.config import Settings
from ironbucket.node import Node, scrub
from ironbucket.node.body import Attributes, Expected
from ironbucket.node.objects import bytes_body
from ironbucket.store.payloads import Payloads

Run = Callable[..., list[str]]


def payload(node: Node, key: str) -> Path:
    version = node.objects.get("photos", key)
    return Path(node.payloads.layout.payload("photos", key, version.version))


def scrubbed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = cli.main(["scrub", *arguments])
    return status, capsys.readouterr().out


def test_nothing_is_wrong(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = scrubbed(capsys, "--all")
    assert status == 0
    assert "4 lines of logs read, 3 payloads looked at, 3 of them (6 B) read" in said


def test_sizes_are_looked_at_every_day(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    os.unlink(payload(node, "a"))
    payload(node, "b").write_bytes(b"longer")
    status, said = scrubbed(capsys)
    assert status == 1
    assert "photos/a" in said
    assert "is missing" in said
    assert "6 bytes where 1 were stored" in said


def test_every_payload_is_read_in_its_turn(node: Node, settings: Settings) -> None:
    payload(node, "a").write_bytes(b"x")
    days = []
    for day in range(scrub.SHARES):
        counts = scrub.Counts()
        found = list(
            scrub.scrub(node.index, node.files, node.payloads, counts, lambda *_: None, day=day, shares=scrub.SHARES)
        )
        days += [day for one in found if one.kind == "damaged" and "MD5" in one.what]
    assert len(days) == 1


def test_damage_of_a_log(node: Node, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(settings.wal_path)
    path.write_bytes(path.read_bytes().replace(b"photos\ta", b"photos\tx"))
    status, said = scrubbed(capsys)
    assert status == 1
    assert "damaged at byte" in said


def test_a_log_that_lost_its_end(node: Node, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(settings.wal_path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    status, said = scrubbed(capsys)
    assert status == 1
    assert "ends at record 3, but the index has applied 4" in said


def test_leftovers_of_yesterday_go_and_those_of_today_stay(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    staging = Path(node.payloads.layout.staging("photos"))
    old, new = staging / "old~01JD3V2Q9Z8K7M5N4P3R2S1T0V", staging / "new"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 90_000,) * 2)
    wanted = payload(node, "a")
    staged = staging / wanted.name
    wanted.rename(staged)
    os.utime(staged, (time.time() - 90_000,) * 2)
    scrub.sweep(node.index, Payloads(node.payloads.layout), time.time() - 86_400)
    assert os.listdir(staging) == ["new"]
    assert wanted.read_bytes() == b"a"
    assert scrubbed(capsys)[0] == 0


def test_a_node_without_a_log(settings: Settings, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setenv("WAL_ENABLED", "false")
    unlogged = replace(settings, wal_enabled=False)
    Node.prepare(unlogged)
    node = Node.open(unlogged)
    node.buckets.create("photos", "0" * 64)
    node.objects.put("photos", "a", bytes_body(b"x"), Expected(), Attributes(owner="0" * 64))
    node.close()
    assert "0 lines of logs read, 1 payloads looked at" in run("scrub", "--all")[-1]
    assert "nothing is wrong" in run("verify")[-1]
