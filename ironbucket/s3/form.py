"""multipart/form-data as it streams in: the small fields before the file as text, the file as a body.

Memory stays constant: fields are limited, and of the file there is never more here than one buffer.

Sources: RFC 7578, RFC 2046 5.1.1, https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTForms.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ironbucket.errors import MalformedPOSTRequest, MaxPostPreDataLengthExceededError

#: bytes of all that comes before the file
MAX_BEFORE_FILE = 20 << 10
#: bytes that may come after the file, which is ignored
MAX_AFTER_FILE = 1 << 20

_BUFFER = 256 << 10
_BOUNDARY = re.compile(
    r'multipart/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))\s*(?:;.*)?', re.IGNORECASE
)
_PARAMETER = re.compile(r';\s*(name|filename)="([^"]*)"', re.IGNORECASE)

Source = Callable[[memoryview], int]


def boundary(content_type: str) -> bytes | None:
    """The boundary of a form's Content-Type; None for any other."""
    found = _BOUNDARY.fullmatch(content_type)
    return (found[1] or found[2]).encode("latin-1") if found else None


class Form:
    """The fields, and then the file, which is a `Body`."""

    def __init__(self, source: Source, boundary_: bytes) -> None:
        """Reads up to the first byte of the file.

        Raises MalformedPOSTRequest, MaxPostPreDataLengthExceededError, and what reading `source` raises.
        """
        self._source = source
        self._delimiter = b"\r\n--" + boundary_
        self._buffer = bytearray(b"\r\n")  # so that the first delimiter is like the others
        self._before = 0
        self._done = False
        #: lower-case name -> text, of what came before the file
        self.fields: dict[str, str] = {}
        self.has_file = False
        self.file_name = ""
        self._take(self._delimiter)
        while not self.has_file and self._next_part():
            pass

    def readinto(self, target: memoryview) -> int:
        """The next bytes of the file; 0 at its end, when all of the request has been read."""
        if self._done or not len(target):
            return 0
        keep = len(self._delimiter) - 1
        while True:
            end = self._buffer.find(self._delimiter)
            ready = end if end >= 0 else len(self._buffer) - keep
            if ready > 0:
                count = min(ready, len(target))
                target[:count] = self._buffer[:count]
                del self._buffer[:count]
                return count
            if end == 0:
                self._done = True
                self._drain()
                return 0
            self._fill()

    def trailers(self) -> Mapping[str, str]:
        return {}

    def _fill(self) -> None:
        """Read more. Raises MalformedPOSTRequest at the end of the request, which is never here."""
        chunk = bytearray(_BUFFER)
        count = self._source(memoryview(chunk))
        if not count:
            raise MalformedPOSTRequest
        self._buffer += memoryview(chunk)[:count]

    def _take(self, mark: bytes) -> bytes:
        """What comes before `mark`, which is consumed too; within the bytes that may come before the file."""
        while (end := self._buffer.find(mark)) < 0:
            if len(self._buffer) + self._before > MAX_BEFORE_FILE + len(mark):
                raise MaxPostPreDataLengthExceededError
            self._fill()
        taken = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        self._before += end + len(mark)
        if self._before > MAX_BEFORE_FILE:
            raise MaxPostPreDataLengthExceededError
        return taken

    def _next_part(self) -> bool:
        """Read the part that begins here; False after the last one."""
        ending = self._take(b"\r\n").strip()
        if ending == b"--":
            return False
        if ending:
            raise MalformedPOSTRequest
        name, file_name = self._head()
        if name == "file":
            self.has_file, self.file_name = True, file_name
            return False
        value = self._take(self._delimiter)
        try:
            self.fields.setdefault(name, value.decode())
        except UnicodeDecodeError:
            raise MalformedPOSTRequest from None
        return True

    def _head(self) -> tuple[str, str]:
        """The names of the part and of its file."""
        found = {}
        while line := self._take(b"\r\n"):
            header, _, value = line.decode("utf-8", "replace").partition(":")
            if header.strip().lower() == "content-disposition":
                # no browser escapes with a backslash, and one of old sends paths full of them
                found = {key.lower(): text.replace("%22", '"') for key, text in _PARAMETER.findall(value)}
        if not found.get("name"):
            raise MalformedPOSTRequest
        return found["name"].lower(), re.split(r"[/\\]", found.get("filename", ""))[-1]

    def _drain(self) -> None:
        """Read what follows the file, to no purpose but that the client be heard out."""
        buffer = memoryview(bytearray(64 << 10))
        left = MAX_AFTER_FILE
        while count := self._source(buffer):
            left -= count
            if left < 0:
                raise MalformedPOSTRequest
