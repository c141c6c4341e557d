"""A node that lacks what the logs no longer hold takes over the state of another, whatever breaks on the way."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.several import SHORT, Several, seen, vector, wait_for_removal


@pytest.fixture
def two(scratch: Path) -> Iterator[Several]:
    several = Several(scratch, 2, **SHORT)
    yield several
    several.close()


def fill(client: Any, count: int = 40) -> None:
    """Something of every kind."""
    client.create_bucket(Bucket="photos")
    client.create_bucket(Bucket="more")
    client.put_object(Bucket="more", Key="a", Body=b"a")
    client.create_bucket(Bucket="gone")
    client.delete_bucket(Bucket="gone")
    for number in range(count):
        client.put_object(Bucket="photos", Key=f"k{number:04d}", Body=b"x" * number, Metadata={"n": str(number)})
    client.put_object(Bucket="photos", Key="large", Body=os.urandom(600_000))
    client.upload_fileobj(io.BytesIO(os.urandom(9 << 20)), "photos", "multipart")
    client.delete_object(Bucket="photos", Key="k0001")
    client.put_object_tagging(Bucket="photos", Key="k0002", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})


def test_an_empty_node_takes_over_the_state_and_then_the_log(two: Several) -> None:
    two.start(1)
    fill(two.client(1))
    wait_for_removal(two[1])
    two.client(1).put_object(Bucket="photos", Key="in the log", Body=b"1")
    two.start(2)
    two.replicate(1)
    assert seen(two[2]) == seen(two[1])
    assert vector(two[2]).items() >= vector(two[1]).items()
    two.client(1).put_object(Bucket="photos", Key="after", Body=b"2")
    two.client(2).delete_object(Bucket="photos", Key="k0003")
    two.ship()
    assert seen(two[2]) == seen(two[1])
    two[2].stop()
    done = two[2].run("recover")
    assert done.returncode == 0, done.stderr
    two[2].start()
    two.ship()
    assert seen(two[2]) == seen(two[1])


@pytest.mark.parametrize(
    "failpoint",
    ["batch-payload-staged:kill:30", "range-restored:kill:2", "join-finishing", "index-commit:kill:3"],
)
def test_a_takeover_that_was_broken_off_goes_on(two: Several, failpoint: str) -> None:
    two.start(1)
    fill(two.client(1))
    wait_for_removal(two[1])
    two[2].start(FAILPOINT=failpoint)
    two.replicate(1, ok=False)  # may end well: the worker that died has a successor
    assert "ended with status" in two[2].log(), "the failpoint was not reached"
    two[2].kill()
    two.client(1).delete_object(Bucket="photos", Key="k0004")
    two.client(1).put_object(Bucket="photos", Key="k0005", Body=b"meanwhile")
    two[2].start()
    two.replicate(1)
    assert seen(two[2]) == seen(two[1])


def test_a_node_that_was_away_keeps_its_own_and_loses_what_was_deleted(two: Several) -> None:
    two.start()
    fill(two.client(1))
    two.ship()
    two[1].stop()
    two.client(2).put_object(Bucket="photos", Key="mine", Body=b"made while alone")
    two.client(2).delete_object(Bucket="photos", Key="k0006")
    two[2].stop()
    two.start(1)
    two.client(1).delete_object(Bucket="photos", Key="k0007")
    two.client(1).put_object(Bucket="photos", Key="k0008", Body=b"new")
    wait_for_removal(two[1])
    assert "takes a snapshot when it returns" in two[1].log()
    two.start(2)
    two.ship()
    found = seen(two[2])
    assert found == seen(two[1])
    keys = {name.split("'")[1] for name in found if name.startswith("photos/")}
    assert "mine" in keys
    assert not keys & {"k0006", "k0007"}
