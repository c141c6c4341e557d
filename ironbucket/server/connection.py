"""A client's connection: which state it is in, who may touch it, and what happens on each event.

    IDLE     waits for a request            the loop's
    HEAD     has sent part of a head        the loop's
    BUSY     its request is being answered  a thread's, and not watched by the loop
    SENDING  takes its answer slowly        the loop's; what is left are bytes or files
    LINGER   has its last answer and still sends; what it sends is dropped   the loop's
    CLOSED

A connection changes hands by Loop.watch and Loop.unwatch; the state is set before.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ironbucket import errors, failpoints
from ironbucket.server import answers
from ironbucket.server.answers import CONTINUE, Refusal
from ironbucket.server.body import NO_BODY, ChunkedBody, NoBody, RequestBody, SizedBody
from ironbucket.server.parser import END, HeadParser
from ironbucket.server.request import Request, read
from ironbucket.server.response import Exchange, close_result
from ironbucket.server.sendfile import Abort, Sender

if TYPE_CHECKING:
    from ironbucket.server.httpd import Server

IDLE, HEAD, BUSY, SENDING, LINGER, CLOSED = range(6)
_NEVER = float("inf")
_RECEIVE = 16 * 1024
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST
#: how long a thread waits for a client to take more, before it leaves the waiting to the loop
_PATIENCE = 0.2
_scratch = bytearray(256 * 1024)


class Connection:
    """cheroot's ConnectionClass, as far as this server needs it."""

    __slots__ = (
        "_base",
        "_expires_in_all",
        "_parser",
        "_pending",
        "_result",
        "_sender",
        "deadline",
        "exchange",
        "fd",
        "internal",
        "limits",
        "server",
        "sock",
        "state",
    )

    def __init__(self, server: Server, sock: socket.socket, base: dict[str, Any], *, internal: bool = False) -> None:
        """`sock` does not block. `base`: this connection's part of each environ. `internal`: not logged."""
        self.server = server
        self.sock = sock
        self.fd = sock.fileno()
        self.limits = server.limits
        self.internal = internal
        self._base = base
        self._parser: HeadParser | None = None
        self._pending = b""  # received, and not looked at yet
        self._sender: Sender | None = None
        self._result: Any = None
        self._expires_in_all = _NEVER
        self.exchange: Exchange | None = None
        self.state = IDLE
        self.deadline = time.monotonic() + self.limits.idle_timeout

    # Events, in the loop

    def ready(self) -> None:
        """The socket can be read, or written in state SENDING."""
        state = self.state
        if state <= HEAD:
            data = self._pending
            if data:
                self._pending = b""
                self.server.loop.rewatch(self, writing=False)
            else:
                try:
                    data = self.sock.recv(_RECEIVE)
                except BlockingIOError:
                    return
                except OSError:
                    data = b""
                if not data:
                    self.close()
                    return
            self._read(data)
        elif state == SENDING:
            self._send_more()
        elif state == LINGER:
            self._drop()

    def _read(self, data: bytes) -> None:
        """Answer the requests in `data`."""
        server = self.server
        while data:
            parser = self._parser
            rest: bytes | None
            try:
                if parser is None:
                    if data[0] == 13 and data[:2] == b"\r\n":  # RFC 9112 2.2: an empty line before a request
                        data = data[2:]
                        continue
                    parser = server.parser
                    end = data.find(END)
                    if end >= 0:
                        rest = data[end + 4 :]
                        parser.whole(data[: end + 4])
                    else:
                        parser = self._parser = HeadParser(self.limits)
                        self.state = HEAD
                        self.deadline = time.monotonic() + self.limits.header_timeout
                        rest = parser.feed(data)
                else:
                    rest = parser.feed(data)
                if rest is None:
                    return
                self._parser = None
                request = read(parser, self._base)
            except Refusal as refusal:
                if parser is not None:
                    parser.renew()
                self._refuse(refusal)
                return
            parser.next(reusable=request.length == 0 and request.keep_alive and "HTTP_UPGRADE" not in request.environ)
            data = self._serve(request, rest)

    def _serve(self, request: Request, rest: bytes) -> bytes:
        """Answer one request. Returns what is to be read next, empty if nothing can be for now."""
        environ = request.environ
        length = request.length
        body: RequestBody
        if length == 0:
            body = NoBody(rest) if rest else NO_BODY
            if request.expects:
                # nothing is to come, but a client that asked may not use the connection again until it is told
                with suppress(OSError):  # its loss is noticed with the answer
                    self.sock.send(CONTINUE)
        elif length is None:
            body = ChunkedBody(self.sock, self.limits, rest, expects=request.expects)
        else:
            body = SizedBody(self.sock, self.limits, length, rest, expects=request.expects)
        environ["wsgi.input"] = body
        exchange = Exchange(self, request, body)
        server = self.server
        inline = environ["ironbucket.inline"] = length == 0 and server.inline(environ)
        self.state = BUSY
        if not inline:
            self._hand_over(exchange, None)
            return b""
        data, result = exchange.at_hand(server.application)
        if data is None:
            self._hand_over(exchange, result)
            return b""
        return self._send(exchange, data)

    def _hand_over(self, exchange: Exchange, result: Any) -> None:
        """Let a thread go on: call the application, or send what it has returned."""
        self.exchange = exchange
        self.deadline = _NEVER
        self.server.loop.unwatch(self)
        job = exchange.run if result is None else lambda: exchange.answer(result)
        if not self.server.pool.submit(job):
            close_result(result)
            exchange.keep_alive = False
            exchange.body.settle()
            self.send_from_thread(exchange, exchange.refuse(503, errors.SlowDown()))

    def _send(self, exchange: Exchange, data: bytes) -> bytes:
        """Send a whole answer from the loop. Returns what is to be read next."""
        try:
            done = self.sock.send(data)
        except BlockingIOError:
            done = 0
        except OSError as error:
            self.abort(exchange, error)
            return b""
        if done < len(data):
            self.exchange = exchange
            self._sender = Sender(self.sock, data[done:], (), self.limits)
            self.state = SENDING
            self.deadline = time.monotonic() + self.limits.send_timeout
            self.server.loop.rewatch(self, writing=True)
            return b""
        self._account(exchange)
        leftover = exchange.body.leftover
        if not exchange.keep_alive:
            self._farewell(clean=not leftover, watched=True)
            return b""
        self.state = IDLE
        self.deadline = self.server.loop.now + self.limits.idle_timeout
        return leftover

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what is no request, or none that is served, and close."""
        request_id = answers.new_request_id()
        data = answers.refusal(refusal.status, refusal.error, request_id)
        self._parser = None
        with suppress(OSError):
            self.sock.send(data)
        self.server.access_log.refused(request_id, refusal.status, len(data), self._base.get("REMOTE_ADDR", ""))
        self._farewell(clean=False, watched=True)

    # Answers, in a thread

    def send_from_thread(self, exchange: Exchange, data: bytes) -> None:
        """Send a whole answer; what the client does not take at once is left to the loop."""
        self._run_sender(exchange, Sender(self.sock, data, (), self.limits), 0)

    def send_files(self, exchange: Exchange, sender: Sender, result: Any) -> None:
        """Send an answer with files. Closes `result` afterwards."""
        self._result = result
        self._run_sender(exchange, sender, _PATIENCE)

    def _run_sender(self, exchange: Exchange, sender: Sender, patience: float) -> None:
        try:
            complete = sender.run(patience)
        except (OSError, Abort) as error:
            exchange.bytes_out += sender.body_sent
            self.abort(exchange, error)
            return
        if complete:
            exchange.bytes_out += sender.body_sent
            failpoints.hit("answered")
            self._sender = None
            self._close_result()
            self.finished(exchange)
            return
        self.exchange = exchange
        self._sender = sender
        self.deadline = time.monotonic() + self.limits.send_timeout
        self.state = SENDING
        self.server.loop.watch(self, writing=True)

    def _send_more(self) -> None:
        """The client takes more, says the loop."""
        sender, exchange = self._sender, self.exchange
        if sender is None or exchange is None:
            raise RuntimeError("a connection is in state SENDING with nothing to send")
        self.server.loop.unwatch(self)
        self.state = BUSY
        self.deadline = _NEVER
        if sender.reads_files:
            self.server.pool.submit(lambda: self._run_sender(exchange, sender, _PATIENCE), always=True)
        else:
            self._run_sender(exchange, sender, 0)

    def finished(self, exchange: Exchange) -> None:
        """An answer has been sent, and the loop does not watch this connection: give it back."""
        self._account(exchange)
        self.exchange = None
        leftover = exchange.body.leftover
        if not exchange.keep_alive:
            self._farewell(clean=exchange.body.consumed and not leftover, watched=False)
            return
        self._pending = leftover
        self.deadline = time.monotonic() + self.limits.idle_timeout
        self.state = IDLE
        self.server.loop.watch(self, writing=bool(leftover))  # a socket can be written, so this is an event at once

    def _account(self, exchange: Exchange) -> None:
        if not self.internal:
            self.server.access_log.record(exchange)

    # Ends

    def _farewell(self, *, clean: bool, watched: bool) -> None:
        """The last answer is sent. Unless all that the client has sent was read (`clean`), closing at once would reset
        the connection and could take the answer back: wait until the client closes its side."""
        if clean:
            self.close()
            return
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        now = time.monotonic()
        self._expires_in_all = now + self.limits.linger_total
        self.deadline = now + self.limits.linger_timeout
        self.state = LINGER
        if not watched:
            self.server.loop.watch(self, writing=False)

    def _drop(self) -> None:
        try:
            count = self.sock.recv_into(_scratch, 0, socket.MSG_TRUNC)  # tcp(7): drops without copying
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self.close()
            return
        self.deadline = min(time.monotonic() + self.limits.linger_timeout, self._expires_in_all)

    def abort(self, exchange: Exchange, error: BaseException) -> None:
        """The answer cannot be completed: reset the connection, so that no client takes a part for the whole."""
        self.server.access_log.record(exchange, aborted=str(error) or type(error).__name__)
        with suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def expire(self) -> None:
        """The deadline has passed, says the loop."""
        if self.state == HEAD:
            self._refuse(Refusal(400, errors.RequestTimeout()))
        elif self.state == SENDING and self.exchange is not None:
            self.abort(self.exchange, TimeoutError("the client takes no more of the answer"))
        elif not self.internal:
            self.close()

    def is_silent(self) -> bool:
        """In state IDLE: is there nothing to read that the loop has not come to yet?"""
        try:
            return not self._pending and not self.sock.recv(1, socket.MSG_PEEK)
        except OSError:  # nothing there, or nobody
            return True

    def cut_off(self) -> None:
        """The server stops and waits no longer: a thread that reads or writes here meets an error at once."""
        if self.state == BUSY:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
        else:
            self.close()

    def close(self) -> None:
        """Let go of everything."""
        if self.state == CLOSED:
            return
        self.state = CLOSED
        self._sender = None
        self._parser = None
        self.exchange = None
        self._close_result()
        self.server.loop.forget(self)  # before the descriptor's number can be used again
        self.sock.close()
        if self.internal:
            self.server.stop()  # the master has gone

    def _close_result(self) -> None:
        result = self._result
        self._result = None
        if result is not None:
            close_result(result)
