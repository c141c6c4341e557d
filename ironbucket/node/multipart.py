"""Multipart uploads: parts arrive as files; completing is one record and one rename."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ironbucket import checksums, fsutil
from ironbucket.clock import wall_ms
from ironbucket.errors import (
    BadDigest,
    EntityTooSmall,
    InvalidPart,
    InvalidPartOrder,
    InvalidRequest,
    NoSuchUpload,
)
from ironbucket.node import locks
from ironbucket.node.body import Attributes, Body, Conditions, Expected
from ironbucket.node.buckets import Buckets
from ironbucket.node.commit import Committer, Transaction
from ironbucket.node.objects import Objects, PayloadBody, algorithms, document, verify
from ironbucket.store import buckets, keys
from ironbucket.store.index import Index
from ironbucket.store.model import CommonPrefix, Kind, Part, Upload, Version
from ironbucket.store.paths import new_version
from ironbucket.store.payloads import Payloads, write_manifest
from ironbucket.store.uploads import UploadStore, new_upload_id

#: bytes; every part but the last must have at least as many
MINIMUM_PART = 5 * 1024 * 1024

Listed = tuple[int, str, Mapping[str, str]]  # part number, ETag without quotes, checksums by algorithm


class Uploads:
    """Operations on multipart uploads."""

    def __init__(
        self,
        index: Index,
        payloads: Payloads,
        committer: Committer,
        buckets_: Buckets,
        objects: Objects,
        *,
        node_id: str,
    ) -> None:
        self._index, self._payloads, self._committer = index, payloads, committer
        self._buckets, self._objects, self._node_id = buckets_, objects, node_id
        self._store = UploadStore(payloads.layout)

    def create(
        self, bucket: str, key: str, attributes: Attributes, checksum_algorithm: str = "", checksum_type: str = ""
    ) -> Upload:
        """Begin an upload. Raises NoSuchBucket, InvalidRequest (a lock in a bucket without)."""
        bucket_ = self._buckets.accept(bucket)
        if locks.RETENTION in attributes.extra or locks.LEGAL_HOLD in attributes.extra:
            locks.check_bucket(bucket_)
        upload = Upload(
            bucket,
            key,
            new_upload_id(self._node_id),
            max(wall_ms(), self._buckets.deleted_ms(bucket) + 1),  # another node's clock may be ahead
            document(attributes),
            checksum_algorithm,
            checksum_type,
        )
        with fsutil.storage_errors():
            self._store.create(upload)
        return upload

    def get(self, bucket: str, key: str, upload_id: str) -> Upload:
        """Raises NoSuchBucket, NoSuchUpload: also for an upload to an earlier bucket of that name."""
        self._buckets.get(bucket)
        upload = self._store.load(bucket, key, upload_id)
        if upload.initiated_ms <= self._buckets.deleted_ms(bucket):
            raise NoSuchUpload(UploadId=upload_id)
        return upload

    def put_part(self, bucket: str, key: str, upload_id: str, number: int, body: Body, expected: Expected) -> Part:
        """Store a part; one of the same number is replaced. Raises NoSuchUpload and what `Objects.put` raises."""
        upload = self.get(bucket, key, upload_id)
        names = set(algorithms(expected))
        if upload.checksum_algorithm:
            names.add(upload.checksum_algorithm)
        with fsutil.storage_errors():
            path, received = self._store.receive_part(upload, number, body, sorted(names))
            try:
                kept = verify(expected, received, body)
                if upload.checksum_algorithm:
                    kept[upload.checksum_algorithm] = checksums.encode(received.digests[upload.checksum_algorithm])
                return self._store.keep_part(path, number, received, kept)
            except BaseException:
                self._store.discard(path)
                raise

    def copy_part(
        self, bucket: str, key: str, upload_id: str, number: int, source: Version, start: int, length: int
    ) -> Part:
        """Store `length` bytes of `source`, from `start`, as a part."""
        with self._objects.payload(source, start, length) as payload:
            return self.put_part(bucket, key, upload_id, number, PayloadBody(payload), Expected(length=length))

    def complete(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[Listed],
        expected_checksums: Mapping[str, str] | None = None,
        checksum_type: str = "",
        object_size: int | None = None,
        conditions: Conditions = Conditions(),
    ) -> Version:
        """Make the parts an object. Repeating it gives the same answer.

        Raises NoSuchUpload, InvalidPart, InvalidPartOrder, EntityTooSmall, BadDigest, InvalidRequest,
        PreconditionFailed.
        """
        try:
            upload = self.get(bucket, key, upload_id)
            chosen = self._choose(upload, parts)
        except NoSuchUpload:
            done = self._completed(bucket, key, upload_id)
            if done is None:
                raise
            return done
        size = sum(part.size for part in chosen)
        if object_size is not None and object_size != size:
            raise InvalidRequest(f"The x-amz-mp-object-size {object_size} is not the size of the parts, {size}.")
        found = _whole_checksum(upload, chosen, expected_checksums or {}, checksum_type)
        attributes = dict(upload.attributes) | {"parts": len(chosen), "upload": upload_id} | found
        version = new_version()

        def claim(transaction: Transaction) -> Version | None:
            """Under the lock the parts are ours, or somebody has completed or aborted the upload before."""
            done = self._find_completed(transaction.connection, bucket, key, upload_id)
            if done is not None:
                return done
            if upload_id in transaction.uploads:  # completed and overwritten in this very group
                raise NoSuchUpload(UploadId=upload_id)
            try:
                with fsutil.storage_errors():
                    write_manifest(
                        self._store.directory(bucket, upload_id),
                        [replace(part, number=number) for number, part in enumerate(chosen, 1)],
                    )
            except FileNotFoundError:
                raise NoSuchUpload(UploadId=upload_id) from None
            return None

        etag = _etag(chosen)
        done = self._objects.commit(bucket, key, version, size, etag, attributes, conditions, claim)
        if done.version == version:
            with contextlib.suppress(FileNotFoundError):  # overwritten and collected already
                self._store.prune(self._payloads.layout.payload(bucket, key, version), [part.name for part in chosen])
        return done

    def _choose(self, upload: Upload, parts: Sequence[Listed]) -> list[Part]:
        there = self._store.parts(upload.bucket, upload.upload_id)
        chosen: list[Part] = []
        for number, etag, declared in parts:
            if chosen and number <= chosen[-1].number:
                raise InvalidPartOrder(UploadId=upload.upload_id)
            part = there.get(number)
            if part is None or part.etag != etag.strip('"'):
                raise InvalidPart(UploadId=upload.upload_id, PartNumber=str(number), ETag=etag)
            for algorithm, value in declared.items():
                if part.checksums.get(algorithm, value) != value:
                    raise InvalidPart(UploadId=upload.upload_id, PartNumber=str(number), ETag=etag)
            chosen.append(part)
        for part in chosen[:-1]:
            if part.size < MINIMUM_PART:
                raise EntityTooSmall(
                    ProposedSize=str(part.size),
                    MinSizeAllowed=str(MINIMUM_PART),
                    PartNumber=str(part.number),
                    ETag=part.etag,
                )
        return chosen

    def _completed(self, bucket: str, key: str, upload_id: str) -> Version | None:
        return self._find_completed(self._index.reader, bucket, key, upload_id)

    def _find_completed(self, connection: Any, bucket: str, key: str, upload_id: str) -> Version | None:
        row = buckets.load(connection, bucket)
        if row is None:
            return None
        for entry in keys.load(self._index, connection, row.number, bucket, key):
            if entry.kind is Kind.OBJECT and entry.attributes.get("upload") == upload_id:
                return entry
        return None

    def in_progress(self, bucket: str) -> list[Upload]:
        """All uploads of a bucket that this node holds."""
        return self._store.scan(bucket)

    def abort(self, bucket: str, key: str, upload_id: str) -> None:
        """End an upload and free its parts. Raises NoSuchBucket, NoSuchUpload."""
        self.get(bucket, key, upload_id)

        def change(transaction: Transaction) -> str:
            if upload_id in transaction.uploads:  # completed in this very group
                raise NoSuchUpload(UploadId=upload_id)
            with fsutil.storage_errors():
                return self._store.end(bucket, upload_id)

        self._store.free(self._committer.submit(change))

    def end_all(self, bucket: str) -> None:
        """Free the uploads to a bucket that has been deleted."""
        for upload in self._store.scan(bucket):
            with contextlib.suppress(NoSuchUpload):  # somebody else ended it
                self._store.free(self._store.end(bucket, upload.upload_id))

    def list_parts(
        self, bucket: str, key: str, upload_id: str, after: int = 0, limit: int = 1000
    ) -> tuple[Upload, list[Part], bool]:
        """(upload, parts with numbers above `after`, whether more follow)."""
        upload = self.get(bucket, key, upload_id)
        parts = [part for number, part in self._store.parts(bucket, upload_id).items() if number > after]
        return upload, parts[:limit], len(parts) > limit

    def list(
        self,
        bucket: str,
        prefix: str = "",
        delimiter: str = "",
        key_marker: str = "",
        upload_id_marker: str = "",
        limit: int = 1000,
    ) -> tuple[list[Upload | CommonPrefix], bool, str, str]:
        """(uploads and common prefixes, whether more follow, next key marker, next upload id marker)."""
        entries: list[Upload | CommonPrefix] = []
        self._buckets.get(bucket)
        until = self._buckets.deleted_ms(bucket)
        for upload in self._store.scan(bucket):
            if upload.initiated_ms <= until:
                continue
            if not upload.key.startswith(prefix) or not _follows(upload, key_marker, upload_id_marker):
                continue
            cut = upload.key.find(delimiter, len(prefix)) if delimiter else -1
            entry: Upload | CommonPrefix = upload
            if cut >= 0:
                entry = CommonPrefix(upload.key[: cut + len(delimiter)])
                if entry.prefix == key_marker or (entries and entries[-1] == entry):
                    continue
            entries.append(entry)
        page = entries[:limit]
        if len(entries) <= limit or not page:
            return page, False, "", ""
        last = page[-1]
        if isinstance(last, CommonPrefix):
            return page, True, last.prefix, ""
        return page, True, last.key, last.upload_id


def _follows(upload: Upload, key_marker: str, upload_id_marker: str) -> bool:
    key, marker = keys.encode_key(upload.key), keys.encode_key(key_marker)
    if not key_marker or key > marker:
        return True
    return key == marker and bool(upload_id_marker) and upload.upload_id > upload_id_marker


def _etag(parts: Sequence[Part]) -> str:
    """MD5 of the parts' MD5s, and their number."""
    digest = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts), usedforsecurity=False)
    return f"{digest.hexdigest()}-{len(parts)}"


def _whole_checksum(
    upload: Upload, parts: Sequence[Part], expected: Mapping[str, str], checksum_type: str
) -> dict[str, Any]:
    """The checksum of the whole object from those of its parts. Raises BadDigest, InvalidRequest."""
    algorithm = upload.checksum_algorithm
    if not algorithm:
        if expected:
            raise InvalidRequest("The upload was created without a checksum algorithm.")
        return {}
    if checksum_type and upload.checksum_type and checksum_type != upload.checksum_type:
        raise InvalidRequest(
            f"The upload was created using the {upload.checksum_type} checksum mode. "
            f"The complete request must use the same checksum mode."
        )
    values = [part.checksums[algorithm] for part in parts]
    full = upload.checksum_type == "FULL_OBJECT" or algorithm == "crc64nvme"  # which knows no other type
    if full:
        whole = checksums.combine(algorithm, [(value, part.size) for value, part in zip(values, parts, strict=True)])
    else:
        whole = checksums.composite(algorithm, values)
    declared = expected.get(algorithm)
    if declared is not None and declared not in (whole, whole.partition("-")[0]):
        raise BadDigest(f"The {algorithm.upper()} you specified did not match the calculated checksum.")
    return {"checksums": {algorithm: whole}, "checksum_type": "FULL_OBJECT" if full else "COMPOSITE"}
