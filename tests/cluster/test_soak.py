"""Random operations and faults on three nodes, briefly. SEED and DURATION (seconds) choose another run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cluster.soak import Event, Soak, check_history
from tests.harness.records import Entry


def test_random_operations_and_faults(scratch: Path) -> None:
    seed, seconds = int(os.environ.get("SEED", "1")), float(os.environ.get("DURATION", "12"))
    print(f"SEED={seed} DURATION={seconds:g}")
    Soak(scratch, seed, seconds, print).run()


def entry(operation: str, node: int, ms: int, etag: str = "") -> Entry:
    return Entry(operation, f"node-{node + 1}", "e", ms, ms, "shared", "k", etag, {"version": f"v{ms}"})


WRITES = [entry("PUT", 0, 1, "a"), entry("PUT", 1, 2, "b"), entry("DELETE", 1, 3), entry("PUT", 0, 4, "d")]


@pytest.mark.parametrize(
    "seen",
    [
        [("put", "a"), ("list", "a"), ("list", "b"), ("list", ""), ("list", "d")],
        [("put", "a"), ("get", "b"), ("get", "a"), ("get", "")],
        [("list", "a"), ("list", ""), ("list", "d")],
        [("list", ""), ("list", "a")],
    ],
    ids=str,
)
def test_the_checker_accepts_what_is_guaranteed(seen: list[tuple[str, str]]) -> None:
    check_history([Event(0, "k", what, etag) for what, etag in seen], WRITES)


@pytest.mark.parametrize(
    "seen",
    [
        [("list", "b"), ("list", "a")],
        [("list", "b"), ("list", ""), ("list", "b")],
        [("put", "d"), ("get", "a")],
        [("put", "d"), ("get", "")],
        [("list", "x")],
    ],
    ids=str,
)
def test_the_checker_notices(seen: list[tuple[str, str]]) -> None:
    with pytest.raises(AssertionError):
        check_history([Event(0, "k", what, etag) for what, etag in seen], WRITES)
