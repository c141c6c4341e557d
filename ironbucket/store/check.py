"""Are the payloads what the index says? Each exists, with its size, and on demand with its bytes. Changes nothing."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ironbucket import checksums
from ironbucket.store import buckets, keys
from ironbucket.store.index import Index, index_errors
from ironbucket.store.model import Kind, Part, Version
from ironbucket.store.payloads import PayloadDamaged, PayloadMissing, Payloads

_PAGE = 1000
_CHUNK = 1 << 20
_MD5_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with the payload of one version. `part`: of a multipart object, that part; None: all of it."""

    version: Version
    kind: str  # missing, damaged
    what: str
    part: Part | None = None


def live_versions(index: Index, bucket: str | None = None) -> Iterator[Version]:
    """Every version that has to have a payload, by bucket and key. Read in pages: a long look holds up the index."""
    connection = index.reader
    with index_errors():
        names = [row.name for row in buckets.scan(connection) if bucket in (None, row.name)]
    for name in names:
        row = buckets.load(connection, name)
        if row is not None:
            yield from _current(index, connection, row.number, name)
            yield from _older(index, connection, row.number, name)


def count(index: Index, bucket: str | None = None) -> int:
    """How many versions `live_versions` yields."""
    where = "bucket IN (SELECT id FROM buckets WHERE ?1 IS NULL OR name = ?1)"
    with index_errors():
        (current,) = index.reader.execute(f"SELECT count(*) FROM objects WHERE {where}", (bucket,)).fetchone()
        (older,) = index.reader.execute(
            f"SELECT count(*) FROM history WHERE kind = 'object' AND {where}", (bucket,)
        ).fetchone()
    return int(current) + int(older)


def _current(index: Index, connection: sqlite3.Connection, number: int, bucket: str) -> Iterator[Version]:
    after = b""
    while True:
        with index_errors():
            rows = connection.execute(
                "SELECT key, version, is_null, ms, logical, origin, sequence, size, etag, attributes FROM objects"
                " WHERE bucket = ? AND key > ? ORDER BY key LIMIT ?",
                (number, after, _PAGE),
            ).fetchall()
        for row in rows:
            yield keys.to_version(index, connection, bucket, keys.decode_key(row[0]), row[1:], Kind.OBJECT)
        if len(rows) < _PAGE:
            return
        after = rows[-1][0]


def _older(index: Index, connection: sqlite3.Connection, number: int, bucket: str) -> Iterator[Version]:
    after = (b"", "")
    while True:
        with index_errors():
            rows = connection.execute(
                "SELECT key, version, is_null, ms, logical, origin, sequence, size, etag, attributes FROM history"
                " WHERE bucket = ? AND (key, version) > (?, ?) AND kind = 'object' ORDER BY key, version LIMIT ?",
                (number, *after, _PAGE),
            ).fetchall()
        for row in rows:
            yield keys.to_version(index, connection, bucket, keys.decode_key(row[0]), row[1:], Kind.OBJECT)
        if len(rows) < _PAGE:
            return
        after = rows[-1][0], rows[-1][1]


def is_live(index: Index, version: Version) -> bool:
    """Whether a version that was read before is still one."""
    row = buckets.load(index.reader, version.bucket)
    state = keys.load(index, index.reader, row.number, version.bucket, version.key) if row else ()
    return any(one.version == version.version and one.kind is Kind.OBJECT for one in state)


def check(index: Index, payloads: Payloads, version: Version, *, read: bool) -> list[Damage]:
    """What is wrong with the payload of a version, [] when nothing is. `read`: compare the bytes too."""
    found = list(_damage(payloads, version, read=read))
    # deleted or overwritten since the index was read: then its payload may go
    return found if found and is_live(index, version) else []


def _damage(payloads: Payloads, version: Version, *, read: bool) -> Iterator[Damage]:
    path = payloads.layout.payload(version.bucket, version.key, version.version)
    if not version.parts:
        yield from _file(version, path, version.size, etag_of(version), None, read=read)
        if read and not etag_of(version):
            yield from _checksum(version, path)
        return
    try:
        parts = payloads.parts(version)
    except PayloadMissing:
        yield Damage(version, "missing", f"{path}/manifest.json is missing")
        return
    except PayloadDamaged as error:
        yield Damage(version, "damaged", error.message)
        return
    if sum(part.size for part in parts) != version.size or len(parts) != version.parts:
        yield Damage(version, "damaged", f"{path}/manifest.json does not list what was stored")
        return
    for part in parts:
        yield from _file(version, f"{path}/{part.name}", part.size, part.etag, part, read=read)


def _file(version: Version, path: str, size: int, etag: str, part: Part | None, *, read: bool) -> Iterator[Damage]:
    try:
        there = os.stat(path).st_size
        if there != size:
            yield Damage(version, "damaged", f"{path} has {there} bytes where {size} were stored", part)
        elif read and etag and (found := digest_of(path, "md5").hex()) != etag:
            yield Damage(version, "damaged", f"{path} has the MD5 {found} where {etag} was stored", part)
    except FileNotFoundError:
        yield Damage(version, "missing", f"{path} is missing", part)
    except OSError as error:  # a sector that cannot be read is damage too
        yield Damage(version, "damaged", f"{path}: {error.strerror}", part)


def _checksum(version: Version, path: str) -> Iterator[Damage]:
    """Where the ETag is no MD5: a checksum that the client gave."""
    for algorithm, value in version.checksums.items():
        found = checksums.encode(digest_of(path, algorithm))
        if found != value:
            yield Damage(version, "damaged", f"{path} has the {algorithm} {found} where {value} was stored")
        return


def etag_of(version: Version) -> str:
    """The MD5 of the payload of a version that is one file; "" when its ETag is something else."""
    return version.etag if len(version.etag) == _MD5_LENGTH else ""


def digest_of(path: str, algorithm: str) -> bytes:
    """A digest of a file's bytes."""
    hasher = hashlib.md5(usedforsecurity=False) if algorithm == "md5" else checksums.hasher(algorithm)
    with open(path, "rb", buffering=0) as source:
        buffer = memoryview(bytearray(_CHUNK))
        while got := source.readinto(buffer):
            hasher.update(buffer[:got])
    return hasher.digest()


def check_all(
    index: Index, payloads: Payloads, versions: Iterable[Version], *, read: bool
) -> Iterator[tuple[Version, list[Damage]]]:
    """Each version with what is wrong with its payload."""
    for version in versions:
        yield version, check(index, payloads, version, read=read)
