"""What a client may cost: time, bytes, connections, threads. Plain numbers: no module here reads a configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Per worker process. Times are seconds, sizes are bytes."""

    #: from a request's first byte to the end of its head
    header_timeout: float = 20.0
    #: a kept-alive connection without a request. Longer than nginx keeps an upstream connection (60 s), so that
    #: nginx closes first and never meets a connection that we close as it writes.
    idle_timeout: float = 75.0
    #: no byte of a request's body arrives
    body_timeout: float = 30.0
    #: no byte of an answer is taken
    send_timeout: float = 30.0
    #: bytes a second that a body must flow at, in each `rate_window` of waiting, in either direction; 0: no minimum
    min_body_rate: int = 512
    rate_window: float = 15.0
    #: after an answer that closes a connection on which the client still sends: silence, and in all
    linger_timeout: float = 5.0
    linger_total: float = 30.0
    #: from SIGTERM until requests in flight are cut off
    shutdown_timeout: float = 30.0
    #: from SIGTERM until connections that wait for a request are closed
    drain_idle: float = 1.0

    max_connections: int = 8192
    #: the request line and all headers together
    max_head: int = 32 * 1024
    max_headers: int = 100
    max_target: int = 8 * 1024

    #: threads for what blocks: kept when idle, and at most; above that clients get 503 SlowDown
    threads_kept: int = 4
    threads_max: int = 256

    #: a body of a file up to this size is read and sent by the loop itself
    inline_body: int = 64 * 1024
    #: what is left of a request's body is read and dropped after an early answer, if no more than this is left
    drain_body: int = 64 * 1024
    backlog: int = 1024
