"""Forced copies, lost cursors, replaced nodes, logs put back from older copies, damaged logs."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ironbucket.store.paths import Layout
from tests.cluster.several import Several, seen, vector
from tests.harness.process import COMMAND, NodeProcess, environment


@pytest.fixture
def two(scratch: Path) -> Iterator[Several]:
    several = Several(scratch, 2)
    yield several
    several.close()


@pytest.fixture
def three(scratch: Path) -> Iterator[Several]:
    several = Several(scratch, 3)
    yield several
    several.close()


def begin(several: Several, count: int = 20) -> None:
    several.start()
    client = several.client(1)
    client.create_bucket(Bucket="photos")
    for number in range(count):
        client.put_object(Bucket="photos", Key=f"k{number}", Body=b"x" * number)
    several.ship()


def own(number: int, found: dict[str, int]) -> dict[str, int]:
    return {stream: sequence for stream, sequence in found.items() if stream.startswith(f"node-{number}/")}


def test_resync_makes_a_node_equal_to_its_peer_while_it_serves(two: Several) -> None:
    begin(two)
    two.client(2).put_object(Bucket="photos", Key="mine", Body=b"not shipped yet")
    with sqlite3.connect(Layout(str(two[2].storage)).index) as index:  # a fault that no log knows of
        index.execute("DELETE FROM objects WHERE key = ?", (b"k3",))
        index.execute("UPDATE objects SET etag = 'wrong' WHERE key = ?", (b"k4",))
        index.execute("UPDATE objects SET key = ? WHERE key = ?", (b"ghost", b"k5"))
    index.close()
    for name in os.listdir(two[2].storage / "photos"):
        for payload in (two[2].storage / "photos" / name).glob("k6~*"):
            payload.write_bytes(b"")
    asked = subprocess.Popen(
        [*COMMAND, "resync", "--from", f"127.0.0.1:{two[1].port}"],
        env=environment(two[2].settings),
        stdout=subprocess.PIPE,
        text=True,
    )
    while not (two[2].wal_dir / "resync.json").exists():
        assert asked.poll() is None
    two.replicate(1)
    assert asked.wait(30) == 0
    assert asked.stdout is not None
    asked.stdout.close()
    two.ship()
    found = seen(two[2])
    assert found == seen(two[1])
    assert any("b'mine'" in name for name in found)
    assert not any("ghost" in name for name in found)


def test_a_lost_cursor_costs_nothing_but_a_question(two: Several) -> None:
    begin(two)
    Path(str(two[1].settings["STATE_PATH"])).unlink()
    two.replicate(1)
    assert two.cursor(1, 2)["vector"]
    two.client(1).put_object(Bucket="photos", Key="more", Body=b"")
    Path(str(two[1].settings["STATE_PATH"])).write_bytes(b"\0 not JSON")
    two.replicate(1)
    assert seen(two[2]) == seen(two[1])


def test_a_dead_node_is_replaced_by_an_empty_one_of_its_name(two: Several) -> None:
    begin(two)
    two.client(2).put_object(Bucket="photos", Key="from 2", Body=b"2")
    two.ship()
    before = own(2, vector(two[1]))
    two[2].kill()
    shutil.rmtree(two[2].root)
    two[2].start()
    two.client(2).create_bucket(Bucket="second")
    two.ship()
    assert seen(two[2]) == seen(two[1])
    after = own(2, vector(two[2]))
    assert after.items() >= before.items()
    assert len(after) == 2, "a new life has a new epoch"
    [(stream, _)] = before.items()
    assert (two[2].wal_dir / "peers" / "node-2" / f"{stream.partition('/')[2]}.log").exists()
    assert {one["Key"] for one in two.client(2).list_objects_v2(Bucket="photos")["Contents"]} >= {"from 2", "k0"}
    assert two.client(2).get_object(Bucket="photos", Key="from 2")["Body"].read() == b"2"


def test_what_a_backup_lacks_comes_back_from_the_peers(two: Several, scratch: Path) -> None:
    begin(two)
    two[1].stop()
    shutil.copytree(two[1].root, scratch / "backup")
    two[1].start()
    two.client(1).put_object(Bucket="photos", Key="after the backup", Body=b"a")
    two.ship()
    two[1].kill()
    shutil.rmtree(two[1].root)
    shutil.copytree(scratch / "backup", two[1].root)
    two[1].start()
    two.client(1).put_object(Bucket="photos", Key="after the return", Body=b"r")
    two.ship()
    found = seen(two[1])
    assert found == seen(two[2])
    assert any("after the backup" in name for name in found)
    assert any("after the return" in name for name in found)
    assert len(own(1, vector(two[1]))) == 2


def rewind(node: NodeProcess, copies: dict[Path, bytes]) -> None:
    """Put files back so that nothing tells it, as when a virtual machine returns to an earlier state of its disk."""
    for folder in (node.wal_dir, Path(Layout(str(node.storage)).system)):
        for path in folder.rglob("*"):
            if path.is_file() and path not in copies:
                path.unlink()
    for path, data in copies.items():
        if path.read_bytes() != data:
            with path.open("r+b") as target:
                target.write(data)
                target.truncate()


def test_a_log_that_went_back_unnoticed_is_refused_and_mended(two: Several) -> None:
    begin(two)
    two[1].stop()
    folders = (two[1].wal_dir, Path(Layout(str(two[1].storage)).system))
    copies = {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}
    two[1].start()
    for number in range(3):
        two.client(1).put_object(Bucket="photos", Key=f"lost {number}", Body=b"l")
    two.ship()
    two[1].stop()
    rewind(two[1], copies)
    two[1].start()
    assert len(own(1, vector(two[1]))) == 1, "nothing has told it"
    two.client(1).put_object(Bucket="photos", Key="new", Body=b"n")
    two.client(1).put_object(Bucket="photos", Key="k7", Body=b"n")
    done = two.replicate(1, ok=False)
    assert done.returncode == 1
    assert "recover --new-epoch" in done.stdout
    assert two.replicate(2, ok=False).returncode == 1
    two[1].stop()
    mended = two[1].run("recover", "--new-epoch")
    assert mended.returncode == 0, mended.stderr
    two[1].start()
    two.ship()
    found = seen(two[1])
    assert found == seen(two[2])
    for key in ("lost 0", "lost 2", "new"):
        assert any(f"b'{key}'" in name for name in found), key
    assert two.client(2).get_object(Bucket="photos", Key="k7")["Body"].read() == b"n"
    two.replicate(1)
    two.replicate(2)


def damage(path: Path, sequence: int) -> int:
    """Change a byte in a record of a log; returns the offset of its line."""
    data = path.read_bytes()
    offset = 0
    for line in data.splitlines(keepends=True):
        fields = line.split(b"\t")
        if len(fields) > 3 and fields[2] == str(sequence).encode():
            break
        offset += len(line)
    with path.open("r+b") as target:
        target.seek(offset + 5)
        target.write(b"#")
    return offset


def test_a_damaged_line_is_named_and_stays_as_backlog(three: Several) -> None:
    begin(three)
    three[3].kill()
    three.client(1).put_object(Bucket="photos", Key="in order", Body=b"")
    three.client(1).put_object(Bucket="photos", Key="damaged", Body=b"")
    three.client(1).put_object(Bucket="photos", Key="behind it", Body=b"")
    offset = damage(three[1].wal_path, 23)
    three.replicate(1, ok=False)
    three[3].start()
    done = three.replicate(1, ok=False)
    assert done.returncode == 1
    assert f"damaged at byte {offset}" in done.stdout + done.stderr
    assert "ironbucket wal repair" in done.stdout
    assert max(own(1, vector(three[3])).values()) == 22
    assert three.cursor(1, 2)["backlog_entries"] == 2 or three.cursor(1, 3)["backlog_entries"] == 2
    assert three.cursor(1, 3)["backlog_entries"] > 0
