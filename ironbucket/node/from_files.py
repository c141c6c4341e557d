"""From payload files alone to a log and an index: the last resort, when neither of them can be used.

A payload's name holds its key and its version, its bytes the size and the MD5, a multipart object's manifest its parts.
The newest version of each key becomes the object; all that a record would have known besides is lost, and the report
says so. The log that was there is set aside, and a new one is begun whose records agree with the new index.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from ironbucket import failpoints, fsutil
from ironbucket.node import identity, recover
from ironbucket.node.commit import Committer, Transaction
from ironbucket.node.heads import LogFiles
from ironbucket.store.index import Index
from ironbucket.store.paths import Layout, made_ms
from ironbucket.store.payloads import PayloadDamaged, PayloadMissing, Payloads, read_manifest
from ironbucket.wal.record import CREATE_BUCKET, PUT

if TYPE_CHECKING:
    from ironbucket.config import Settings

_GROUP = 200  # records in one commit
_KEPT_OPEN = ("wal.lock", "node.lock")


class _Found(NamedTuple):
    """A payload whose bytes have been read."""

    bucket: str
    key: str
    version: str
    size: int
    etag: str
    parts: int


def from_files(settings: Settings, *, owner: str, progress: recover.Progress = recover.quiet) -> recover.Prepared:
    """Make log and index anew from the payloads. `owner` is the id that buckets and objects get.

    A run that was cut short is begun again by the next; no other command starts in between. Raises AlreadyRunning.
    """
    with recover.running_alone(settings):
        layout = Layout(settings.storage_path)
        payloads = Payloads(layout)
        fsutil.make_directory(layout.system)
        mark = recover.unfinished_mark(layout)
        fsutil.replace_file(mark, b"")
        set_aside = _set_aside(settings, layout)
        failpoints.hit("from-files-begun")
        who = identity.settle(settings.wal_path, settings.node_id, layout.index, logged=settings.wal_enabled)
        prepared = recover.Prepared(who, set_aside=set_aside)
        with contextlib.closing(sqlite3.connect("")) as inventory:  # on disk, and gone with the connection
            counts = _take_inventory(inventory, payloads, progress)
            index = Index(layout.index, durable=not settings.wal_enabled)
            files = LogFiles(settings.wal_path, settings.node_id, prepared.identity.epoch)
            committer = Committer(
                index,
                payloads,
                files,
                lock_path=os.path.join(files.directory, "wal.lock"),
                logged=settings.wal_enabled,
            )
            try:
                prepared.replayed = _write_records(inventory, committer, owner, counts, progress)
                index.checkpoint()
            finally:
                committer.close()
                index.close()
        os.unlink(mark)
        fsutil.sync_directory(layout.system)
        prepared.rebuilt = True
        prepared.unknown = _unknown(counts)
        return prepared


def _set_aside(settings: Settings, layout: Layout) -> list[str]:
    """Move the log and the index out of the way. Returns where they are."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    kept = []
    directory = os.path.dirname(settings.wal_path)
    names = [name for name in os.listdir(directory) if name not in _KEPT_OPEN and not name.startswith("set-aside-")]
    if names:
        place = _unused(os.path.join(directory, f"set-aside-{stamp}"))
        fsutil.make_directory(place)
        for name in names:
            os.rename(os.path.join(directory, name), os.path.join(place, name))
        fsutil.sync_directory(place)
        fsutil.sync_directory(directory)
        kept.append(place)
    if os.path.exists(layout.index):
        place = _unused(f"{layout.index}.set-aside-{stamp}")
        for suffix in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                os.rename(layout.index + suffix, place + suffix)
        kept.append(place)
    return kept


def _unused(path: str) -> str:
    number, found = 1, path
    while os.path.exists(found):
        number += 1
        found = f"{path}-{number}"
    return found


def _take_inventory(inventory: sqlite3.Connection, payloads: Payloads, progress: recover.Progress) -> dict[str, int]:
    """List the newest payload of every key, ordered by age: the stamps of a log must rise."""
    counts = dict.fromkeys(("buckets", "objects", "multipart", "older", "unusable"), 0)
    inventory.execute(
        "CREATE TABLE found (bucket TEXT, key BLOB, version TEXT, PRIMARY KEY (bucket, key)) WITHOUT ROWID"
    )
    seen = 0
    for bucket in payloads.buckets():
        counts["buckets"] += 1
        for key, version, _ in payloads.settled(bucket):
            place = (bucket, key.encode("utf-8", "surrogatepass"))
            known = inventory.execute("SELECT version FROM found WHERE bucket = ? AND key = ?", place).fetchone()
            counts["older"] += known is not None
            if known is None or known[0] < version:
                inventory.execute("INSERT OR REPLACE INTO found VALUES (?, ?, ?)", (*place, version))
            seen += 1
            progress("listing payloads", seen, 0)
    inventory.execute("CREATE INDEX by_age ON found (version)")
    return counts


def _write_records(
    inventory: sqlite3.Connection,
    committer: Committer,
    owner: str,
    counts: dict[str, int],
    progress: recover.Progress,
) -> int:
    """One record for each bucket and each payload. Returns how many."""
    payloads = committer.payloads
    oldest = dict(inventory.execute("SELECT bucket, min(version) FROM found GROUP BY bucket"))
    created = sorted((made_ms(oldest[name]) if name in oldest else 0, name) for name in payloads.buckets())
    committer.submit(partial(_create_buckets, created=created, owner=owner))
    (total,) = inventory.execute("SELECT count(*) FROM found").fetchone()
    done = 0
    found = _read_payloads(inventory, payloads, counts)
    while group := list(islice(found, _GROUP)):
        committer.submit(partial(_put_objects, group=group, owner=owner))
        done += len(group)
        progress("reading payloads", done, total)
    counts["objects"] = done
    return len(created) + done


def _read_payloads(inventory: sqlite3.Connection, payloads: Payloads, counts: dict[str, int]) -> Iterator[_Found]:
    for bucket, name, version in inventory.execute("SELECT bucket, key, version FROM found ORDER BY version"):
        key = name.decode("utf-8", "surrogatepass")
        path = payloads.layout.payload(bucket, key, version)
        try:
            size, etag, parts = _read_parts(path) if os.path.isdir(path) else _read_file(path)
        except (OSError, PayloadMissing, PayloadDamaged):
            counts["unusable"] += 1
            continue
        counts["multipart"] += parts > 0
        yield _Found(bucket, key, version, size, etag, parts)


def _read_file(path: str) -> tuple[int, str, int]:
    with open(path, "rb") as source:
        digest = hashlib.file_digest(source, lambda: hashlib.new("md5", usedforsecurity=False))
        return source.tell(), digest.hexdigest(), 0


def _read_parts(path: str) -> tuple[int, str, int]:
    parts = read_manifest(path)
    digest = hashlib.new("md5", usedforsecurity=False)
    for part in parts:
        size, etag, _ = _read_file(os.path.join(path, part.name))
        if (size, etag) != (part.size, part.etag):
            raise PayloadDamaged(f"{path}/{part.name}: not the part that was stored")
        digest.update(bytes.fromhex(etag))
    return sum(part.size for part in parts), f"{digest.hexdigest()}-{len(parts)}", len(parts)


def _create_buckets(transaction: Transaction, created: list[tuple[int, str]], owner: str) -> None:
    for made, name in created:
        transaction.record(CREATE_BUCKET, name, attributes={"owner": owner}, made_ms=made)


def _put_objects(transaction: Transaction, group: list[_Found], owner: str) -> None:
    for one in group:
        attributes: dict[str, Any] = {"version": one.version, "owner": owner}
        if one.parts:
            attributes["parts"] = one.parts
        transaction.record(
            PUT, one.bucket, one.key, one.size, one.etag, attributes=attributes, made_ms=made_ms(one.version)
        )


def _unknown(counts: dict[str, int]) -> list[str]:
    """What payloads cannot tell, in sentences with numbers."""
    objects = counts["objects"]
    sentences = [
        f"content type, user metadata, tags, checksums and owner of {objects} objects "
        "(they have S3's default type and this node's owner now)",
        f"configuration and owner of {counts['buckets']} buckets; a bucket that was deleted is there again",
        "deletions: an object deleted less than HISTORY_WINDOW ago is there again",
    ]
    if counts["older"]:
        sentences.append(
            f"what {counts['older']} older versions were, overwritten or kept by versioning: "
            "they stay on disk and are not in the index"
        )
    if counts["unusable"]:
        sentences.append(f"{counts['unusable']} payloads that cannot be read or are not whole: they stay on disk")
    return sentences
