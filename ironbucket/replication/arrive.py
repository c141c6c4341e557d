"""Payloads that arrive from peers: inside a batch, or ahead of it, resumed where an earlier attempt broke off.

    .staging/<version>.part             a payload that is arriving; what is there is kept when the transfer breaks
    .staging/<version>.<digest>.part    a file of a multipart payload, likewise
    .staging/<key>~<version>            whole, compared with its ETag, synced: the batch with its record may come

A file has its staged name only when it is whole. So a batch that says that its payload was sent is taken only then,
whichever attempts were made before it, and by whom.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Mapping
from typing import Any

from ironbucket import failpoints, fsutil
from ironbucket.errors import S3Error, ServiceUnavailable, StorageFull
from ironbucket.replication import admit, wire
from ironbucket.replication.admit import Refused
from ironbucket.store.payloads import PART, Payloads, read_manifest
from ironbucket.wal.record import PUT, Record

Environ = dict[str, Any]
_CHUNK = 1 << 20


class Busy(ServiceUnavailable):
    """Another peer is delivering the same just now."""


class OutOfStep(ServiceUnavailable):
    """The rest of a payload does not begin where what is here ends."""


class Arrivals:
    """What arrives under one STORAGE_PATH."""

    def __init__(self, payloads: Payloads) -> None:
        self._payloads, self._layout = payloads, payloads.layout

    # -- ahead of the batch -------------------------------------------------------------------------------------------

    def size(self, query: Mapping[str, str]) -> int:
        """How many bytes of a payload file are here; -1 when it is whole. Raises Busy while more of it is arriving."""
        whole, part = self._places(query)
        if any(map(os.path.lexists, whole)):
            return -1
        try:
            fd = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return 0
        try:
            _lock(fd)
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def take(self, environ: Environ, query: Mapping[str, str]) -> int:
        """Append a request's body to a payload file; returns how much is here, -1 when the file is whole.

        Raises Busy, OutOfStep, CorruptBatch (the file is not the one that was stored), StorageFull.
        """
        whole, part = self._places(query)
        offset, size = int(query["offset"]), int(query["size"])
        fd = self._open(query, part)
        try:
            _lock(fd)
            if os.fstat(fd).st_nlink == 0 or any(map(os.path.lexists, whole)):
                return -1  # another peer has brought it meanwhile
            here = os.fstat(fd).st_size
            if here > size:
                os.ftruncate(fd, 0)
                here = 0
            if here != offset:
                raise OutOfStep(f"{here} bytes are here")
            try:
                _stream(environ, fd, offset)
                os.fsync(fd)
            except OSError as error:
                if isinstance(fsutil.named_error(error), StorageFull):
                    os.unlink(part)  # what cannot be completed must not keep the disk full
                raise
            here = os.fstat(fd).st_size
            if here == size:
                self._complete(query, part, whole[-1])
                return -1
            return here
        finally:
            os.close(fd)

    def _complete(self, query: Mapping[str, str], part: str, whole: str) -> None:
        name = query.get("name", "")
        etag = query.get("etag", "") or (name.split("~")[1] if "~" in name else "")
        for algorithm, expected in (("md5", etag), ("sha256", query.get("sha256", ""))):
            if len(expected) == hashlib.new(algorithm, usedforsecurity=False).digest_size * 2:
                with open(part, "rb") as source:
                    found = hashlib.file_digest(source, algorithm).hexdigest()
                if found != expected:
                    os.unlink(part)
                    raise wire.CorruptBatch("the payload that arrived is not the one that was stored; it is sent anew")
        failpoints.hit("payload-arrived")
        if name:
            fsutil.make_directory(os.path.dirname(whole))
        os.rename(part, whole)

    def _open(self, query: Mapping[str, str], part: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(part, flags, 0o640)
        except FileNotFoundError:
            self._payloads.prepare_bucket(query["bucket"])
            return os.open(part, flags, 0o640)

    def _places(self, query: Mapping[str, str]) -> tuple[tuple[str, str], str]:
        """((settled, staged), arriving) names of a payload file. Raises CorruptBatch."""
        bucket, key, version, name = query["bucket"], query["key"], query["version"], query.get("name", "")
        admit.check_name(bucket)
        admit.check_version(version)
        settled, staged = self._layout.payload(bucket, key, version), self._layout.staged(bucket, key, version)
        if not name:
            return (settled, staged), f"{self._layout.staging(bucket)}/{version}{PART}"
        admit.check_name(name)
        digest = hashlib.sha256(name.encode()).hexdigest()[:32]
        return (f"{settled}/{name}", f"{staged}/{name}"), f"{self._layout.staging(bucket)}/{version}.{digest}{PART}"

    # -- with the batch -----------------------------------------------------------------------------------------------

    def stage(self, entry: wire.Entry) -> None:
        """Make the payload of an entry ready to be settled, durably.

        Raises Refused (it is not what the record says), ServiceUnavailable (it has to be sent first).
        """
        record, payload = entry.line.record, entry.payload
        if record.operation != PUT or payload is None:
            return
        if payload == wire.GONE:
            self._forget(record)
        elif payload == wire.SENT:
            self._check_sent(record)
        else:
            self._stage_inline(record, payload if isinstance(payload, bytes) else payload.encode())
        self._payloads.prepare_key(record.bucket, record.key or "")

    def _stage_inline(self, record: Record, data: bytes) -> None:
        if len(data) != record.size or not _etag_fits(record, data):
            raise Refused(admit.place_of(record), "its payload is not what the record says")
        path = self._layout.staged(record.bucket, record.key or "", record.version)
        self._payloads.remove(path)  # the remnant of a delivery that broke off
        fd = self._payloads.create(record.bucket, record.key or "", path)
        try:
            fsutil.write_all(fd, data)
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def _check_sent(self, record: Record) -> None:
        place = (record.bucket, record.key or "", record.version)
        for path in (self._layout.staged(*place), self._layout.payload(*place)):
            if os.path.lexists(path):
                size = _size_of_parts(path) if record.attributes.get("parts") else os.path.getsize(path)
                if size == record.size:
                    return
        raise ServiceUnavailable(f"the payload of {admit.place_of(record)} is not here yet")

    def _forget(self, record: Record) -> None:
        """The sender has replaced it meanwhile: what arrived of it is of no use."""
        staging = self._layout.staging(record.bucket)
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(staging):
                if name.startswith(record.version):
                    self._payloads.remove(f"{staging}/{name}")
        self._payloads.remove(self._layout.staged(record.bucket, record.key or "", record.version))


def _lock(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Busy from None


def _stream(environ: Environ, fd: int, offset: int) -> None:
    """Append the body; what arrives before a break stays, so that the next attempt goes on from there."""
    remaining = int(environ.get("CONTENT_LENGTH") or 0)
    buffer = memoryview(bytearray(min(_CHUNK, remaining or 1)))
    os.lseek(fd, offset, os.SEEK_SET)
    while remaining:
        count = environ["wsgi.input"].readinto(buffer[: min(len(buffer), remaining)])
        if not count:
            return
        fsutil.write_all(fd, buffer[:count])
        remaining -= count
        failpoints.hit("payload-arriving")


def _size_of_parts(directory: str) -> int:
    """Bytes of a multipart payload whose parts are all there, its names made durable; -1 otherwise."""
    try:
        parts = read_manifest(directory)
        whole = all(os.path.getsize(f"{directory}/{part.name}") == part.size for part in parts)
        fsutil.sync_directory(directory)
    except (FileNotFoundError, S3Error):
        return -1
    return sum(part.size for part in parts) if whole else -1


def _etag_fits(record: Record, data: bytes) -> bool:
    etag = record.etag or ""
    return len(etag) != 32 or hashlib.md5(data, usedforsecurity=False).hexdigest() == etag
