"""One JSON object a line for each request, to standard output.

Requests only append a line to a queue, which a thread writes out ten times a second, alone among the workers. When
nobody reads, the queue fills up and lines are dropped and counted; requests go on.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from json.encoder import encode_basestring_ascii as quote
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ironbucket.server.response import Exchange

_QUEUE = 50_000
_PAUSE = 0.1
_PATH_MAX = 3100  # a key of 1,024 bytes, each percent-encoded
_QUERY_MAX = 300
_SECRETS = re.compile(r"(X-Amz-(?:Signature|Security-Token))=[^&]*", re.IGNORECASE)


class Log(Protocol):
    """What connections write to."""

    def record(self, exchange: Exchange, aborted: str = "") -> None: ...
    def refused(self, request_id: str, status: int, size: int, remote: str) -> None: ...
    def close(self) -> None: ...


class NoLog:
    """Logs nothing."""

    def record(self, exchange: Exchange, aborted: str = "") -> None:
        pass

    def refused(self, request_id: str, status: int, size: int, remote: str) -> None:
        pass

    def close(self) -> None:
        pass


class AccessLog:
    """Writes to a file descriptor from a thread of its own."""

    def __init__(self, fd: int = 1, lock_fd: int | None = None) -> None:
        """`lock_fd`: a file that all who write to `fd` lock while they write."""
        self._fd = fd
        self._lock_fd = lock_fd
        self._lines: list[str] = []
        self._some = threading.Event()
        self._closing = False
        self._dropped = 0
        self._second = 0
        self._time = ""
        self._thread = threading.Thread(target=self._run, name="accesslog", daemon=True)
        self._thread.start()

    def record(self, exchange: Exchange, aborted: str = "") -> None:
        """The request has been answered, or cut off for the reason `aborted`."""
        environ = exchange.request.environ
        path: str = environ["REQUEST_URI"]
        more = ""
        if "?" in path:
            path, _, query = path.partition("?")
            if "X-Amz-" in query:
                query = _SECRETS.sub(r"\1=", query)
            more = f',"query":{quote(query[:_QUERY_MAX])}'
        if "HTTP_X_FORWARDED_FOR" in environ:
            more = f'{more},"forwarded_for":{quote(environ["HTTP_X_FORWARDED_FOR"][:100])}'
        if aborted:
            more = f'{more},"aborted":{quote(aborted[:100])}'
        if "ironbucket.access_key" in environ:
            more = f'{more},"access_key":{quote(environ["ironbucket.access_key"])}'
        if "ironbucket.user" in environ:
            more = f'{more},"user":{quote(environ["ironbucket.user"])}'
        request = exchange.request
        took = (time.monotonic() - exchange.started) * 1000
        self._add(
            f'{self._now()}"request_id":"{request.request_id}","remote":"{environ["REMOTE_ADDR"]}"'
            f',"method":"{request.method}","path":{quote(path[:_PATH_MAX])},"status":{exchange.status[:3] or 0}'
            f',"bytes_in":{exchange.body.received},"bytes_out":{exchange.bytes_out},"ms":{took:.2f}{more}}}\n'
        )

    def refused(self, request_id: str, status: int, size: int, remote: str) -> None:
        """A request that could not be read was answered with `status`."""
        self._add(
            f'{self._now()}"request_id":"{request_id}","remote":"{remote}"'
            f',"method":"","path":"","status":{status},"bytes_in":0,"bytes_out":{size},"ms":0}}\n'
        )

    def _now(self) -> str:
        """The beginning of a line."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._time = time.strftime('{"time":"%Y-%m-%dT%H:%M:%S.', time.gmtime(second))
            self._second = second
        return f'{self._time}{int((now - second) * 1000):03d}Z",'

    def _add(self, line: str) -> None:
        lines = self._lines
        if len(lines) >= _QUEUE:
            self._dropped += 1
            return
        lines.append(line)
        some = self._some
        if not some.is_set():
            some.set()

    def _run(self) -> None:
        some = self._some
        while not self._closing:
            some.wait()
            if not self._closing:
                time.sleep(_PAUSE)  # many lines at once cost less
            some.clear()
            self._flush()

    def _flush(self) -> None:
        dropped, self._dropped = self._dropped, 0
        if dropped:
            self._lines.append(json.dumps({"event": "access log lines dropped", "count": dropped}) + "\n")
        count = len(self._lines)
        data = "".join(self._lines[:count]).encode("ascii")
        with self._alone():
            self._write(data)
        del self._lines[:count]  # only now, so that what waits to be written counts as queued

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other worker writes: a pipe that is full would interleave what several write, pipe(7)."""
        if self._lock_fd is None:
            yield
            return
        fcntl.lockf(self._lock_fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._lock_fd, fcntl.LOCK_UN)

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:  # someone else has made it non-blocking
                if not select.select([], [self._fd], [], 1)[1] and self._closing:
                    return
            except OSError:  # nobody will ever read it
                return

    def close(self, timeout: float = 1.0) -> None:
        """Write out what is queued, for at most `timeout` seconds."""
        self._closing = True
        self._some.set()
        self._thread.join(timeout)
        if not self._thread.is_alive():
            self._flush()
