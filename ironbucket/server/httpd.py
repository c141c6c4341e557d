"""One worker's HTTP server: cheroot's WSGI server with this package's loop, pool, parser and connections.

loop -> Connection.ready -> HeadParser -> request.read -> Exchange -> application
                                                \\-> pool, if that could wait
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from cheroot import wsgi

from ironbucket.server.accesslog import Log, NoLog
from ironbucket.server.connection import Connection
from ironbucket.server.health import PATH as HEALTH
from ironbucket.server.limits import Limits
from ironbucket.server.loop import Loop
from ironbucket.server.parser import HeadParser
from ironbucket.server.pool import Pool
from ironbucket.server.request import base_environ
from ironbucket.server.response import Application

__all__ = ["Limits", "Server", "reads_object"]


def reads_object(environ: dict[str, Any]) -> bool:
    """Does the request read one object (path style), or the health page? Such an answer is made without waiting."""
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return False
    path: str = environ["PATH_INFO"]
    if path.startswith("/-/"):
        return path == HEALTH
    return 0 < path.find("/", 1) < len(path) - 1


class Server(wsgi.Server):
    """Serves one listening socket until `stop`.

    Requests for which `inline` says so are answered by the loop's own thread; their application may return None to
    be called again in a thread, with environ["ironbucket.inline"] False, when it finds that it has to wait.
    """

    ConnectionClass = Connection

    def __init__(
        self,
        listener: socket.socket,
        application: Application,
        *,
        limits: Limits | None = None,
        inline: Callable[[dict[str, Any]], bool] = reads_object,
        access_log: Log | None = None,
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        """`listener` listens already. `on_tick` is called by the loop about once a second."""
        host, port = listener.getsockname()[:2]
        super().__init__((host, port), application, server_name="IronBucket")
        listener.setblocking(False)  # a worker that loses the race for a connection must not wait for the next
        self.socket = listener
        self.application = application
        self.limits = limits or Limits()
        self.inline = inline
        self.access_log: Log = access_log or NoLog()
        self.draining = False
        self.base = base_environ(host, port)
        self.parser = HeadParser(self.limits)
        self.pool = self.requests = Pool(self.limits.threads_kept, self.limits.threads_max)
        self.loop = Loop(self, self.limits, on_tick)

    def prepare(self) -> None:
        """Accept connections from now on."""
        self.loop.listen(self.socket)
        self.ready = True

    def add_internal(self, sock: socket.socket) -> None:
        """Serve a connected socket as well, without logging it. When its other side closes, the server stops."""
        sock.setblocking(False)
        base = {**self.base, "REMOTE_ADDR": "", "REMOTE_PORT": ""}
        self.loop.add(Connection(self, sock, base, internal=True))

    def serve(self) -> None:
        """Serve until stopped and drained, then cut off what is left."""
        try:
            self.loop.run()
        finally:
            self.ready = False
            self.loop.close()
            self.pool.stop(timeout=2.0)
            self.loop.close()  # what threads have given back meanwhile
            self.access_log.close()
            self.loop.release()

    def stop(self) -> None:
        """Finish what is under way, and end. Returns at once; may be called by a signal handler."""
        if not self.draining:
            self.draining = True
            self.loop.drain(time.monotonic() + self.limits.shutdown_timeout)
