"""Listening sockets: one a worker on the same port, made by the master and kept open by it.

With SO_REUSEPORT the kernel spreads connections over the sockets. As the master holds every one of them, the queue of a
worker that dies stays, and its successor serves it.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from contextlib import suppress

from ironbucket import errors

_SO_ATTACH_FILTER = 26
#: classic BPF, seen from the TCP header on: drop packets whose SYN flag is set, let all others pass
_DROP_SYN = (
    (0x30, 0, 0, 13),  # load the byte of flags
    (0x45, 0, 1, 0x02),  # is SYN set?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # pass
)


def ignore_new_clients(listener: socket.socket) -> None:
    """Let no handshake begin any more, and those under way end. socket(7), SO_ATTACH_FILTER.

    Closing a listening socket resets every connection in its queue, also one that came in a moment ago. After this
    the queue can be emptied first. A client that is ignored tries again in a second, and meets whoever listens then.
    """
    program = b"".join(struct.pack("HBBI", *step) for step in _DROP_SYN)
    buffer = ctypes.create_string_buffer(program, len(program))
    with suppress(OSError):  # not a TCP socket: the queue is emptied all the same
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HxxxxxxP", len(_DROP_SYN), ctypes.addressof(buffer))
        )


def listeners(host: str, port: int, count: int, backlog: int) -> list[socket.socket]:
    """`count` sockets that listen on one port (a free one if `port` is 0). Raises ConfigurationError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
        if port:
            # SO_REUSEPORT would let a second server of the same user share the port unnoticed
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        made: list[socket.socket] = []
        try:
            for _ in range(count):
                sock = socket.socket(family, socket.SOCK_STREAM)
                made.append(sock)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                # connections inherit these
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                if family == socket.AF_INET6 and host in ("::", ""):
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                sock.bind(address)
                if not address[1]:
                    address = sock.getsockname()
            for sock in made:
                sock.listen(backlog)
                sock.setblocking(False)
        except OSError:
            for sock in made:
                sock.close()
            raise
    except OSError as error:
        hint = " Another program uses this port." if error.errno == errno.EADDRINUSE else ""
        raise errors.ConfigurationError(f"cannot listen on {host} port {port}: {error.strerror}.{hint}") from None
    return made
