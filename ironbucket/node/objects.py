"""Objects: what a PUT, a GET, a DELETE and a copy mean. Bytes first, then one decision under the log's lock."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Protocol, cast

from ironbucket import checksums, fsutil
from ironbucket.clock import wall_ms
from ironbucket.errors import (
    BadDigest,
    IncompleteBody,
    InvalidRequest,
    S3Error,
    ServiceUnavailable,
    XAmzContentSHA256Mismatch,
)
from ironbucket.node import deletion, lifecycle, locks, quota
from ironbucket.node.body import Attributes, Body, Conditions, Expected
from ironbucket.node.buckets import Buckets, existing
from ironbucket.node.commit import Committer, Transaction
from ironbucket.node.deletion import Deleted
from ironbucket.node.versions import check_conditions, find_readable, readable, replaced
from ironbucket.store import buckets, keys, listing
from ironbucket.store.buckets import BucketRow
from ironbucket.store.index import Index, index_errors
from ironbucket.store.model import Kind, Page, Part, Version
from ironbucket.store.paths import new_version
from ironbucket.store.payloads import Payload, PayloadDamaged, PayloadMissing, Payloads
from ironbucket.store.receive import Received
from ironbucket.wal.record import DELETE_METADATA, PUT, UPDATE_METADATA

__all__ = ["Deleted", "Elsewhere", "Objects", "PayloadBody", "WouldWait", "algorithms", "document", "verify"]


class WouldWait(Exception):
    """The answer has to come from a peer, and the caller may not wait for it."""


class Elsewhere(Protocol):
    """The peers, as a reader sees them."""

    def find(self, bucket: str, key: str, version_id: str | None) -> Version | None: ...

    def payload(self, version: Version, start: int, length: int) -> Iterable[bytes] | None: ...


class Objects:
    """Operations on objects."""

    def __init__(
        self, index: Index, payloads: Payloads, committer: Committer, buckets_: Buckets, *, clustered: bool
    ) -> None:
        self._index, self._payloads, self._committer, self._buckets = index, payloads, committer, buckets_
        self._clustered = clustered
        #: reads from the peers what has not arrived here yet; set by whoever wires a cluster
        self.elsewhere: Elsewhere | None = None

    # -- writing ------------------------------------------------------------------------------------------------------

    def put(
        self,
        bucket: str,
        key: str,
        body: Body,
        expected: Expected,
        attributes: Attributes,
        conditions: Conditions = Conditions(),
    ) -> Version:
        """Store an object. It is durable, and visible, when this returns.

        Raises NoSuchBucket, PreconditionFailed, NoSuchKey (If-Match), IncompleteBody, BadDigest,
        XAmzContentSHA256Mismatch, InvalidRequest (a lock in a bucket without), AccessDenied (over a locked version),
        QuotaExceeded, StorageFull, and what reading `body` raises. After any of them nothing has changed.
        """
        # before the bytes; decided again under the lock
        quota.check_room(self._index.reader, self._buckets.accept(bucket), expected.length or 0)
        version = new_version()
        with self.staged(bucket, key, version):
            with fsutil.storage_errors():
                received = self._payloads.stage(bucket, key, version, body, algorithms(expected))
            found = verify(expected, received, body)
            kept = document(attributes)
            if found:
                kept |= {"checksums": found, "checksum_type": "FULL_OBJECT"}
            etag = received.digests["md5"].hex()
            return self.commit(bucket, key, version, received.size, etag, kept, conditions)

    def copy(
        self,
        source: Version,
        bucket: str,
        key: str,
        attributes: Attributes,
        conditions: Conditions = Conditions(),
        checksum_algorithm: str = "",
    ) -> Version:
        """Store what `source` holds under another name (or its own, with other attributes).

        A payload of one file is linked, not copied: payloads are immutable. Those of a multipart object are joined.
        """
        quota.check_room(self._index.reader, self._buckets.accept(bucket), source.size)
        version = new_version()
        wanted = checksum_algorithm or next(iter(source.checksums), "")
        with self.staged(bucket, key, version):
            kept = document(attributes)
            known = {wanted: source.checksums[wanted]} if wanted in source.checksums else {}
            linkable = not source.parts and (not wanted or wanted in known)
            with fsutil.storage_errors():
                linked = linkable and self._payloads.stage_link(source, bucket, key, version)
                if linked:
                    etag = source.etag
                else:
                    names = ["md5", *([wanted] if wanted else [])]
                    with self.payload(source) as payload:
                        body = PayloadBody(payload)
                        received = self._payloads.stage(bucket, key, version, body, names)
                    if received.size != source.size:
                        raise IncompleteBody
                    etag = received.digests["md5"].hex()
                    known = {wanted: checksums.encode(received.digests[wanted])} if wanted else {}
            if known:
                kept |= {"checksums": known, "checksum_type": "FULL_OBJECT"}
            return self.commit(bucket, key, version, source.size, etag, kept, conditions)

    def commit(
        self,
        bucket: str,
        key: str,
        version: str,
        size: int,
        etag: str,
        attributes: dict[str, Any],
        conditions: Conditions,
        settled: Callable[[Transaction], Version | None] = lambda _: None,
    ) -> Version:
        """Decide under the lock, and record a staged payload as a version of its key.

        `settled` may find that the same write was committed before; its answer is then the result.
        """

        def change(transaction: Transaction) -> Version:
            row = existing(transaction.connection, bucket)
            repeated = settled(transaction)
            if repeated is not None:
                return repeated
            state = transaction.state(row, key)
            met = keys.current(state)
            check_conditions(conditions, met, key)
            now = wall_ms()
            place = _place(row, state)
            if "versioned" not in place:
                locks.check_overwriting(state, now)
            quota.check(transaction.connection, row, state, size, adds="versioned" in place)
            kept = attributes | locks.placed(row.bucket(), attributes, now) | {"version": version} | place
            transaction.record(PUT, bucket, key, size, etag, kept)
            return _entry(transaction, row, key, version)

        return self._committer.submit(change)

    def delete(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        conditions: Conditions = Conditions(),
        *,
        bypass: bool = False,
    ) -> Deleted:
        """Delete a key (a marker, when versioning is on) or one version for good. What is not there is deleted too.

        `bypass`: the caller may remove what GOVERNANCE retains, and wants to. Raises NoSuchBucket, PreconditionFailed,
        NoSuchKey (If-Match of a key that is not there), AccessDenied (a locked version).
        """
        self._buckets.accept(bucket)
        return self._committer.submit(
            lambda transaction: deletion.delete(
                transaction, bucket, key, version_id, conditions, always=self._clustered, bypass=bypass
            )
        )

    def delete_many(
        self, bucket: str, targets: Iterable[tuple[str, str | None, Conditions]], *, bypass: bool = False
    ) -> list[Deleted | S3Error]:
        """Several deletions in one commit, each with its own outcome, in the order given. Raises NoSuchBucket."""

        def change(transaction: Transaction) -> list[Deleted | S3Error]:
            existing(transaction.connection, bucket)
            outcomes: list[Deleted | S3Error] = []
            for key, version_id, conditions in targets:
                try:
                    outcomes.append(
                        deletion.delete(
                            transaction, bucket, key, version_id, conditions, always=self._clustered, bypass=bypass
                        )
                    )
                except S3Error as error:
                    outcomes.append(error)
            return outcomes

        return self._committer.submit(change)

    def update(
        self, bucket: str, key: str, version_id: str | None, kind: str, value: Any, *, bypass: bool = False
    ) -> Version:
        """Set (or with None remove) one kind of metadata of a version: tags, acl, retention, legal_hold.

        Raises NoSuchBucket, NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker), InvalidRequest (a lock in a
        bucket without), AccessDenied (a lock would be weakened that `bypass` does not open).
        """

        def change(transaction: Transaction) -> Version:
            row = existing(transaction.connection, bucket)
            state = transaction.state(row, key)
            target = readable(state, key, version_id)
            locks.check_update(row.bucket(), target, kind, value, wall_ms(), bypass=bypass)
            attributes: dict[str, Any] = {"of": target.version, "of_stamp": list(target.stamp), "kind": kind}
            if not target.null:
                attributes["versioned"] = True
            if value is not None:
                attributes["value"] = value
            operation = DELETE_METADATA if value is None else UPDATE_METADATA
            transaction.record(operation, bucket, key, attributes=attributes)
            return _entry(transaction, row, key, target.version)

        return self._committer.submit(change)

    @contextlib.contextmanager
    def staged(self, bucket: str, key: str, version: str) -> Iterator[None]:
        """A staged payload that is removed again unless its record is committed."""
        try:
            yield
        except BaseException:
            self._payloads.discard(self._payloads.layout.staged(bucket, key, version))
            raise

    # -- reading ------------------------------------------------------------------------------------------------------

    def get(self, bucket: str, key: str, version_id: str | None = None, *, may_wait: bool = True) -> Version:
        """The current version, or the named one.

        Raises NoSuchBucket, NoSuchKey, NoSuchVersion, MethodNotAllowed; where a delete marker is the reason, the
        error's details hold `delete_marker` and `version_id`. Raises WouldWait rather than ask peers when it may not.
        """
        connection = self._index.reader
        with index_errors():
            if version_id is None:
                met = keys.get(self._index, connection, bucket, key)
                if met is not None:
                    found, configured = met
                    return _shown(found, buckets.load(connection, bucket)) if configured else found
            row = buckets.load(connection, bucket)
            state = keys.load(self._index, connection, row.number, bucket, key) if row is not None else ()
            if row is not None and find_readable(state, version_id) is not None:
                return _shown(readable(state, key, version_id), row)
        if self.elsewhere is not None:
            if not may_wait:
                raise WouldWait
            remote = self._from_peers(self.elsewhere, state, bucket, key, version_id)
            if remote is not None:
                return _shown(remote, row)
        existing(connection, bucket)
        return readable(state, key, version_id)

    def _from_peers(
        self, elsewhere: Elsewhere, state: keys.State, bucket: str, key: str, version_id: str | None
    ) -> Version | None:
        """What a peer has and this node has not received yet, unless it is known here to be deleted or overwritten."""
        found = elsewhere.find(bucket, key, version_id)
        if found is None:
            return None
        for entry in state:
            outdone = entry.null and found.null and entry.kind is not Kind.PENDING and entry.stamp >= found.stamp
            newer = version_id is None and entry.kind is Kind.DELETE_MARKER and entry.stamp > found.stamp
            if outdone or newer or (entry.version == found.version and entry.kind is Kind.TOMBSTONE):
                return None
        return found

    def payload(self, version: Version, start: int = 0, length: int | None = None, *, may_wait: bool = True) -> Payload:
        """The bytes of a version, from a peer if need be.

        Raises InternalError (missing or damaged), ServiceUnavailable (no peer has them either), WouldWait.
        """
        try:
            return self._payloads.open(version, start, length)
        except (PayloadMissing, PayloadDamaged) as error:
            if self.elsewhere is None:
                raise
            if not may_wait:
                raise WouldWait from None
            remote = self.elsewhere.payload(version, start, version.size - start if length is None else length)
            if remote is None and isinstance(error, PayloadMissing):
                raise ServiceUnavailable(
                    "The bytes of this object are not on this node, and no peer that has them answers. Try again."
                ) from error
            if remote is None:
                raise
            return cast(Payload, remote)

    def local_payload(self, version: Version, start: int = 0, length: int | None = None) -> Payload:
        """The bytes of a version that this node holds itself."""
        return self._payloads.open(version, start, length)

    def parts(self, version: Version) -> list[Part]:
        """The parts of a multipart object; [] for any other."""
        return self._payloads.parts(version)

    def list(self, bucket: str, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000) -> Page:
        """A page of current versions and common prefixes. Raises NoSuchBucket."""
        number = self._buckets.number(bucket)
        with index_errors():
            return listing.list_objects(
                self._index, self._index.reader, number, bucket, prefix, delimiter, after, limit
            )

    def list_versions(
        self,
        bucket: str,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        after_version: str = "",
        limit: int = 1000,
    ) -> Page:
        """A page of all versions and delete markers, newest first within a key. Raises NoSuchBucket."""
        number = self._buckets.number(bucket)
        with index_errors():
            return listing.list_versions(
                self._index, self._index.reader, number, bucket, prefix, delimiter, after, after_version, limit
            )


class PayloadBody:
    """A payload as a body: the source of a copy."""

    def __init__(self, payload: Iterable[bytes]) -> None:
        self._chunks = iter(payload)
        self._chunk = memoryview(b"")

    def readinto(self, buffer: memoryview) -> int:
        if not self._chunk:
            self._chunk = memoryview(next(self._chunks, b""))
        count = min(len(buffer), len(self._chunk))
        buffer[:count] = self._chunk[:count]
        self._chunk = self._chunk[count:]
        return count

    def trailers(self) -> dict[str, str]:
        return {}


def bytes_body(data: bytes) -> Body:
    """Bytes as a body."""
    return PayloadBody(iter([data])) if data else PayloadBody(iter(io.BytesIO()))


def algorithms(expected: Expected) -> list[str]:
    """Which digests the body needs: MD5 for the ETag, and what the client declared."""
    names = {"md5", *expected.checksums}
    if expected.sha256 is not None:
        names.add("sha256")
    if expected.trailer_checksum:
        names.add(expected.trailer_checksum)
    return sorted(names)


def verify(expected: Expected, received: Received, body: Body) -> dict[str, str]:
    """Compare what arrived with what was declared; returns the checksums to keep, by algorithm, base64.

    Raises IncompleteBody, BadDigest, XAmzContentSHA256Mismatch, InvalidRequest (a trailer that did not come).
    """
    if expected.length is not None and received.size != expected.length:
        raise IncompleteBody
    if expected.md5 is not None and received.digests["md5"] != expected.md5:
        raise BadDigest("The Content-MD5 you specified did not match what we received.")
    if expected.sha256 is not None and received.digests["sha256"].hex() != expected.sha256:
        raise XAmzContentSHA256Mismatch(
            ClientComputedContentSHA256=expected.sha256, S3ComputedContentSHA256=received.digests["sha256"].hex()
        )
    declared = dict(expected.checksums)
    if expected.trailer_checksum:
        name = f"x-amz-checksum-{expected.trailer_checksum}"
        value = body.trailers().get(name)
        if value is None:
            raise InvalidRequest(f"The trailer {name} was announced and did not arrive.")
        declared[expected.trailer_checksum] = value
    for algorithm, value in declared.items():
        if checksums.encode(received.digests[algorithm]) != value:
            raise BadDigest(f"The {algorithm.upper()} you specified did not match the calculated checksum.")
    return declared


def document(attributes: Attributes) -> dict[str, Any]:
    """Attributes as the record's JSON object: only what is there."""
    kept: dict[str, Any] = {
        "type": attributes.content_type,
        "headers": dict(attributes.headers),
        "meta": dict(attributes.metadata),
        "class": attributes.storage_class,
        "tags": dict(attributes.tags) if attributes.tags else None,
        "owner": attributes.owner,
        **attributes.extra,
    }
    return {name: value for name, value in kept.items() if value}


def _place(row: BucketRow, state: keys.State) -> dict[str, Any]:
    """How a new version joins the others: one of a set, or in place of the null version."""
    return {"versioned": True} if row.bucket().versioning == "Enabled" else replaced(state)


def _entry(transaction: Transaction, row: BucketRow, key: str, version: str) -> Version:
    """A version as the transaction has just made it."""
    return _shown(next(one for one in transaction.state(row, key) if one.version == version), row)


def _shown(version: Version, row: BucketRow | None) -> Version:
    """With what its bucket has to say about it."""
    if row is None or not row.configuration:
        return version
    bucket = row.bucket()
    named = version.null and bool(bucket.versioning)
    expires = (
        lifecycle.expiry(bucket.configuration["lifecycle"], version) if "lifecycle" in bucket.configuration else None
    )
    return replace(version, null_named=named, expires=expires) if named or expires else version
