"""Payload files: staged while they arrive, settled under their name once the log knows them, immutable then.

A payload is a file, or for a multipart object a directory with its parts and ``manifest.json``. It is written in
``.staging/`` of its bucket (a multipart object in ``.uploads/``) and synced before the log may mention it; `settle`
renames it after that. So whatever a crash leaves in ``.staging/`` either has a record, and is settled when that is
replayed, or has none, and is removed: `sweep` needs to look nowhere else.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from ironbucket import failpoints, fsutil
from ironbucket.errors import InternalError
from ironbucket.store.model import Part, Version
from ironbucket.store.paths import LONG_KEYS, STAGING, UPLOADS, Layout, is_long, key_hash, parse_name
from ironbucket.store.receive import Received, Source, receive

MANIFEST = "manifest.json"
#: how the name of a payload ends that is arriving from a peer
PART = ".part"
#: seconds for which such a file is kept over restarts, so that the transfer can be resumed
_RESUMABLE = 86_400.0


class Payload:
    """An open payload or a range of it: what a GET sends.

    `extents` are (file, offset, count), in order. The first file is opened at once, so that a missing payload is
    noticed before an answer has begun. A payload of several files opens each by its `fileno()` when its turn comes, and
    closes the one before, so that an object of ten thousand parts needs one descriptor.
    """

    def __init__(self, pieces: list[tuple[str, int, int, int]]) -> None:
        """`pieces`: (path, expected size of the file, offset, count). Raises PayloadMissing, PayloadDamaged."""
        self._fd = -1
        self._path = ""
        self.size = sum(count for _, _, _, count in pieces)
        self.extents: list[tuple[int | _Part, int, int]] = []
        for path, size, offset, count in pieces:
            # one file is its descriptor; of several each is asked for it anew, since the others' turn closes it
            self.extents.append((_Part(self, path, size), offset, count))
        if pieces:
            fd = self.open(*pieces[0][:2])
            if len(pieces) == 1:
                self.extents = [(fd, *pieces[0][2:])]

    def open(self, path: str, size: int) -> int:
        """Go on to the file at `path`. Raises PayloadMissing, PayloadDamaged (not `size` bytes long)."""
        if self._fd >= 0 and path == self._path:
            return self._fd
        self.close()
        with fsutil.storage_errors():
            try:
                self._fd, self._path = os.open(path, os.O_RDONLY | os.O_CLOEXEC), path
            except FileNotFoundError:
                raise PayloadMissing(path) from None
        found = os.fstat(self._fd).st_size
        if found != size:
            self.close()
            raise PayloadDamaged(f"{path}: {found} bytes where {size} were stored. Run 'ironbucket verify'.")
        return self._fd

    def read(self) -> bytes:
        """All of it at once; for small payloads and tests."""
        with self:
            return b"".join(self)

    def __iter__(self) -> Iterator[bytes]:
        for file, offset, count in self.extents:
            while count:
                fd = file if isinstance(file, int) else file.fileno()
                chunk = os.pread(fd, min(count, 1 << 20), offset)
                if not chunk:
                    raise PayloadDamaged("a payload became shorter while it was read")
                yield chunk
                offset, count = offset + len(chunk), count - len(chunk)

    def __enter__(self) -> Payload:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _Part:
    """A file of a multipart payload that is opened when its turn comes."""

    __slots__ = ("_path", "_payload", "_size")

    def __init__(self, payload: Payload, path: str, size: int) -> None:
        self._payload, self._path, self._size = payload, path, size

    def fileno(self) -> int:
        return self._payload.open(self._path, self._size)


class PayloadMissing(InternalError):
    """The payload of this version is not on this node."""


class PayloadDamaged(InternalError):
    """The payload of this version is damaged on this node."""


class Payloads:
    """The payload files under one STORAGE_PATH."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._names_follow_files: bool | None = None

    # -- arriving ---------------------------------------------------------------------------------------------------

    def stage(self, bucket: str, key: str, version: str, source: Source, algorithms: Iterable[str]) -> Received:
        """Receive a payload into staging and sync it. On any error nothing of it stays."""
        path = self.layout.staged(bucket, key, version)
        try:
            fd, received = receive(source, lambda: self.create(bucket, key, path), algorithms)
            try:
                failpoints.hit("payload-written")
                os.fdatasync(fd)
                failpoints.hit("payload-synced")
            finally:
                os.close(fd)
        except BaseException:
            self.discard(path)
            raise
        return received

    def stage_link(self, source: Version, bucket: str, key: str, version: str) -> bool:
        """Stage a copy of a whole payload by a hard link. False where the file system cannot."""
        path = self.layout.staged(bucket, key, version)
        existing = self.layout.payload(source.bucket, source.key, source.version)
        for attempt in (1, 2):
            try:
                os.link(existing, path)
                return True
            except FileNotFoundError:
                if attempt == 2 or not os.path.exists(existing):
                    raise PayloadMissing(existing) from None
                self._prepare(bucket, key)
            except OSError as error:
                if error.errno in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP):
                    return False
                raise
        return False

    def create(self, bucket: str, key: str, path: str) -> int:
        """Open a new file in the staging directory, which is made if need be."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        if is_long(key):
            self._prepare(bucket, key)
        try:
            return os.open(path, flags, 0o640)
        except FileNotFoundError:
            self._prepare(bucket, key)
            return os.open(path, flags, 0o640)

    def prepare_bucket(self, bucket: str) -> None:
        """The directories of a bucket, durably."""
        for path in (self.layout.staging(bucket), self.layout.uploads(bucket)):
            fsutil.make_directory(path)

    def prepare_key(self, bucket: str, key: str) -> None:
        """Keep the whole of a key that is too long for a file name, durably."""
        if is_long(key):
            self._prepare(bucket, key)

    def _prepare(self, bucket: str, key: str) -> None:
        fsutil.make_directory(self.layout.staging(bucket))
        if is_long(key):
            path = self.layout.long_key(bucket, key_hash(key))
            if not os.path.exists(path):
                fsutil.make_directory(os.path.dirname(path))
                fsutil.replace_file(path, key.encode("utf-8", "surrogatepass"))

    def sync_staging(self, buckets: Iterable[str]) -> None:
        """Make the names in staging durable: the last step before the log may mention what they hold."""
        if self._names_follow_files is None:
            self._names_follow_files = fsutil.names_follow_files(self.layout.root)
        if self._names_follow_files:
            return
        for bucket in buckets:
            with contextlib.suppress(FileNotFoundError):
                fsutil.sync_directory(self.layout.staging(bucket))

    def discard(self, path: str) -> None:
        """Remove a staged payload that no record will mention."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    # -- settled ----------------------------------------------------------------------------------------------------

    def settle(self, bucket: str, key: str, version: str, upload: str = "") -> Callable[[], object] | None:
        """Give a staged payload its name. Idempotent. Returns how to take it back; None when nothing was there to move.

        A multipart object lies under its upload, or in staging when it came from a peer.
        """
        final = self.layout.payload(bucket, key, version)
        sources = [self.layout.staged(bucket, key, version)]
        if upload:
            sources.append(f"{self.layout.uploads(bucket)}/{upload}")
        for source in sources:
            try:
                os.rename(source, final)
            except FileNotFoundError:
                if not os.path.lexists(source):
                    continue
                fsutil.make_directory(os.path.dirname(final))
                os.rename(source, final)
            return partial(os.rename, final, source)
        return None

    def open(self, version: Version, start: int = 0, length: int | None = None) -> Payload:
        """`length` bytes from `start`. Raises PayloadMissing and PayloadDamaged."""
        path = self.layout.payload(version.bucket, version.key, version.version)
        count = version.size - start if length is None else length
        if not version.parts:
            return Payload([(path, version.size, start, count)])
        pieces, offset = [], 0
        for part in self.parts(version):
            low, high = max(start, offset), min(start + count, offset + part.size)
            if low < high:
                pieces.append((f"{path}/{part.name}", part.size, low - offset, high - low))
            offset += part.size
        if offset != version.size:
            raise PayloadDamaged(f"{path}: parts of {offset} bytes where {version.size} were stored.")
        return Payload(pieces)

    def parts(self, version: Version) -> list[Part]:
        """The parts of a multipart object, from its manifest; [] for any other."""
        if not version.parts:
            return []
        return read_manifest(self.layout.payload(version.bucket, version.key, version.version))

    def remove(self, path: str) -> None:
        """Remove a payload that nothing refers to any more: a file, or the directory of a multipart object."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            for name in os.listdir(path):
                os.unlink(os.path.join(path, name))
            os.rmdir(path)

    # -- after a crash ------------------------------------------------------------------------------------------------

    def sweep(self, wanted: Callable[[str, str, str], bool]) -> tuple[int, int]:
        """Settle or remove what a crash left in staging; `wanted(bucket, key, version)` says whether a record exists.

        Returns how many were settled and how many removed.
        """
        settled = removed = 0
        for bucket in self.buckets():
            staging = self.layout.staging(bucket)
            for name in _names(staging):
                path = os.path.join(staging, name)
                if _is_arriving(path):
                    continue
                parsed = self.parse(bucket, name)
                if parsed and wanted(bucket, *parsed):
                    settled += self.settle(bucket, *parsed) is not None
                else:
                    self.remove(path)
                    removed += 1
            for upload in _names(self.layout.uploads(bucket)):
                removed += _tidy_upload(f"{self.layout.uploads(bucket)}/{upload}")
            for name in _names(os.path.join(self.layout.bucket(bucket), LONG_KEYS)):
                if name.endswith(".tmp"):
                    os.unlink(os.path.join(self.layout.bucket(bucket), LONG_KEYS, name))
                    removed += 1
        return settled, removed

    def buckets(self) -> list[str]:
        """The directories of buckets."""
        return [name for name in _names(self.layout.root) if not name.startswith(".")]

    def parse(self, bucket: str, name: str) -> tuple[str, str] | None:
        """(key, version) of a payload's file name; None for a name of another kind."""
        try:
            key, version, digest = parse_name(name)
            if key is None and digest is not None:
                with open(self.layout.long_key(bucket, digest), "rb") as source:
                    key = source.read().decode("utf-8", "surrogatepass")
        except (ValueError, FileNotFoundError):
            return None
        return (key, version) if key is not None else None

    def settled(self, bucket: str) -> Iterator[tuple[str, str, str]]:
        """(key, version, path) of every settled payload of a bucket, in no order."""
        for directory in _names(self.layout.bucket(bucket)):
            if directory in (STAGING, UPLOADS, LONG_KEYS):
                continue
            for name in _names(f"{self.layout.bucket(bucket)}/{directory}"):
                parsed = self.parse(bucket, name)
                if parsed:
                    yield (*parsed, f"{self.layout.bucket(bucket)}/{directory}/{name}")


def read_manifest(directory: str) -> list[Part]:
    """The parts that a multipart object consists of. Raises PayloadMissing, PayloadDamaged."""
    path = os.path.join(directory, MANIFEST)
    with fsutil.storage_errors():
        try:
            with open(path, "rb") as source:
                return [Part(**part) for part in json.load(source)["parts"]]
        except FileNotFoundError:
            raise PayloadMissing(path) from None
        except (ValueError, KeyError, TypeError) as error:
            raise PayloadDamaged(f"{path}: {error}") from None


def write_manifest(directory: str, parts: Iterable[Part]) -> None:
    """Durably, before the record that completes the object."""
    document = {
        "parts": [
            {
                "number": part.number,
                "size": part.size,
                "etag": part.etag,
                "checksums": dict(part.checksums),
                "name": part.name,
                "modified_ms": part.modified_ms,
            }
            for part in parts
        ]
    }
    fsutil.replace_file(os.path.join(directory, MANIFEST), json.dumps(document, separators=(",", ":")).encode())


def _is_arriving(path: str) -> bool:
    """Whether a peer may still send the rest of this file. It is compared with its ETag when it is whole."""
    return path.endswith(PART) and os.stat(path).st_mtime > time.time() - _RESUMABLE


def _tidy_upload(directory: str) -> int:
    """Remove what had only begun to be: parts and files that were arriving, an upload that nobody was told of."""
    names = _names(directory)
    unfinished = [name for name in names if name.startswith(".") or name.endswith(".tmp")]
    for name in unfinished:
        os.unlink(f"{directory}/{name}")
    if len(unfinished) == len(names):
        os.rmdir(directory)
        return len(unfinished) + 1
    return len(unfinished)


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
