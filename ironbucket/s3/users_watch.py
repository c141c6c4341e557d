"""Notices that the file of users has changed, so that a new key works and a removed one fails without a restart."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from ironbucket.errors import ConfigurationError

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds

_State = tuple[int, int, int] | None


class Watch:
    """Calls what it is told to when the file at `path` is another than when this was made. "" for no file."""

    def __init__(self, path: str, interval: float = INTERVAL) -> None:
        """To be made before the file is read: what changes in between is then noticed."""
        self._path, self._interval = path, interval
        self._seen = self._state()
        self._stop = threading.Event()
        self._changed: Callable[[], None] = lambda: None

    def start(self, changed: Callable[[], None]) -> None:
        """Watch from now on, in a thread. `changed` raises ConfigurationError for a file that is not valid: what was
        in force stays so."""
        self._changed = changed
        if self._path:
            threading.Thread(target=self._run, name="users", daemon=True).start()

    def close(self) -> None:
        self._stop.set()

    def look(self) -> None:
        """Compare with what was there, once. A file that has gone is not read as one without users."""
        state = self._state()
        if state is None or state == self._seen:
            return
        self._seen = state
        try:
            self._changed()
        except ConfigurationError as error:
            log.error("the users are not reloaded, the old ones stay in force: %s", error)
        except Exception:
            log.exception("the users are not reloaded, the old ones stay in force")
        else:
            log.info("the users are reloaded")

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self.look()

    def _state(self) -> _State:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
