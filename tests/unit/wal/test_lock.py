"""One holder over threads and processes."""

import os
import threading
from pathlib import Path

from ironbucket.wal.lock import LogLock


def test_threads_and_processes_take_turns(tmp_path: Path) -> None:
    path, counter = str(tmp_path / "locks" / "wal.lock"), tmp_path / "counter"
    counter.write_text("0")
    LogLock(path).close()

    def count(lock: LogLock, times: int) -> None:
        for _ in range(times):
            with lock:
                counter.write_text(str(int(counter.read_text()) + 1))

    child = os.fork()
    lock = LogLock(path)
    threads = [threading.Thread(target=count, args=(lock, 50)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lock.close()
    if child == 0:
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert counter.read_text() == "200"


def test_an_error_releases_the_lock(tmp_path: Path) -> None:
    lock = LogLock(str(tmp_path / "wal.lock"))
    for _ in range(2):
        try:
            with lock:
                raise KeyError
        except KeyError:
            continue
    lock.close()
