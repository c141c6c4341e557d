"""As many threads as there is work for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ironbucket.server.pool import Pool


def wait_until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.005)
    return False


def test_grows_refuses_and_shrinks() -> None:
    pool = Pool(1, 3, idle=0.05)
    go = threading.Event()
    assert [pool.submit(go.wait) for _ in range(4)] == [True, True, True, False]
    assert pool.threads == 3
    go.set()
    assert wait_until(lambda: pool.threads == 1 and pool.idle == 1)
    done = threading.Event()
    assert pool.submit(done.set)
    assert done.wait(5)
    assert pool.stop(5)


def test_work_that_must_be_done_waits_its_turn() -> None:
    pool = Pool(1, 1)
    go = threading.Event()
    done: list[int] = []
    pool.submit(go.wait)
    for number in range(5):
        assert pool.submit(lambda number=number: done.append(number), always=True)  # type: ignore[misc]
    assert pool.qsize == 5
    assert not pool.submit(go.wait)
    go.set()
    assert wait_until(lambda: len(done) == 5)
    assert done == [0, 1, 2, 3, 4]
    assert wait_until(lambda: pool.submit(go.wait))
    assert pool.stop(5)


def test_a_job_that_fails_costs_no_thread() -> None:
    pool = Pool(1, 1)

    def fail() -> None:
        raise RuntimeError("on purpose")

    done = threading.Event()
    pool.submit(fail)
    assert wait_until(lambda: pool.submit(done.set))
    assert done.wait(5)
    assert pool.stop(5)


def test_stop_says_whether_jobs_are_left() -> None:
    pool = Pool(1, 2)
    go = threading.Event()
    pool.submit(go.wait)
    assert not pool.stop(0.05)
    go.set()
    assert pool.stop(5)
    assert wait_until(lambda: pool.threads == 0)
