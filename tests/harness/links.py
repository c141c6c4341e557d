"""TCP links that can fail: each stands between two nodes and passes bytes on, until it is told otherwise.

    open       passes bytes on
    cut        resets what is there and whatever comes
    stalled    accepts and passes nothing on, in either direction: a half-open partition, a peer that does not answer
    deaf       passes requests on and no answers back

Besides, once: reset after so many bytes of requests, or flip a bit of the byte at an offset.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any

OPEN, CUT, STALLED, DEAF = "open", "cut", "stalled", "deaf"


class Link:
    """One direction of asking: the requests of one node to another, and the answers."""

    def __init__(self, network: Network, target: int) -> None:
        self._network, self.target = network, target
        self.mode = OPEN
        self.port = 0
        self.carried = 0  # bytes of requests, over all connections
        self._reset_after: int | None = None
        self._flip_at: int | None = None
        self._changed = asyncio.Event()
        self._transports: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def set(self, mode: str) -> None:
        """From now on."""

        def change() -> None:
            self.mode = mode
            if mode == CUT:
                self._reset_all()
            self._changed.set()
            self._changed = asyncio.Event()

        self._network.call(change)

    def reset_after(self, count: int) -> None:
        """Reset the connection that carries the byte `count` from now on, once."""
        self._network.call(lambda: setattr(self, "_reset_after", self.carried + count))

    def flip_at(self, count: int) -> None:
        """Flip a bit of the byte `count` from now on, once."""
        self._network.call(lambda: setattr(self, "_flip_at", self.carried + count))

    @property
    def spent(self) -> bool:
        """Whether what was to happen once has happened."""
        return self._reset_after is None and self._flip_at is None

    def _reset_all(self) -> None:
        for writer in list(self._transports):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection."""
        self._transports.add(writer)
        there: asyncio.StreamWriter | None = None
        try:
            await self._until(OPEN, DEAF)
            source, there = await asyncio.open_connection("127.0.0.1", self.target)
            self._transports.add(there)
            await asyncio.gather(self._requests(reader, there), self._answers(source, writer))
        except (OSError, asyncio.IncompleteReadError, EOFError):
            pass
        finally:
            for one in (writer, there):
                if one is not None:
                    self._transports.discard(one)
                    one.transport.abort()

    async def _until(self, *modes: str) -> None:
        while self.mode not in modes:
            if self.mode == CUT:
                raise ConnectionResetError
            await self._changed.wait()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await self._until(OPEN, DEAF)
            begin, self.carried = self.carried, self.carried + len(data)
            if self._flip_at is not None and begin <= self._flip_at < self.carried:
                at, self._flip_at = self._flip_at - begin, None
                data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            if self._reset_after is not None and begin <= self._reset_after < self.carried:
                cut, self._reset_after = self._reset_after - begin, None
                writer.write(data[:cut])
                await writer.drain()
                raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        raise EOFError

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await self._until(OPEN)
            writer.write(data)
            await writer.drain()
        raise EOFError


class Network:
    """The links of a test, served by one thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._thread.start()
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def link(self, target: int) -> Link:
        """A link to a port of this machine, open, at a port that the system has chosen."""

        async def make() -> Link:
            link = Link(self, target)

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                task = self._loop.create_task(link.serve(reader, writer))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

            server = await asyncio.start_server(accept, "127.0.0.1", 0)
            self._servers.append(server)
            link.port = server.sockets[0].getsockname()[1]
            return link

        return self.run(make())

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def call(self, action: Callable[[], object]) -> None:
        """Run `action` in the links' thread and wait for it."""

        async def act() -> None:
            action()

        self.run(act())

    def close(self) -> None:
        async def end() -> None:
            for server in self._servers:
                server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        with contextlib.suppress(TimeoutError):
            self.run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def __enter__(self) -> Network:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
