"""An in-memory node with the real one's interface and errors, so that the S3 layer is tested alone."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ironbucket import checksums, errors
from ironbucket.clock import Stamp, wall_ms
from ironbucket.config import Settings
from ironbucket.node import lifecycle, locks
from ironbucket.node.body import Attributes, Conditions, Expected
from ironbucket.store.model import Bucket, CommonPrefix, Kind, Page, Part, Upload, Version

MIN_PART = 5 << 20


@dataclass(frozen=True)
class Deleted:
    version_id: str | None
    marker: bool


class Payload:
    def __init__(self, data: bytes) -> None:
        self.data, self.closed = data, False

    def __iter__(self) -> Iterator[bytes]:
        yield self.data

    def close(self) -> None:
        self.closed = True


def read_all(body: Any, expected: Expected) -> tuple[bytes, dict[str, str]]:
    """The body and its verified checksums."""
    data = bytearray()
    buffer = memoryview(bytearray(65536))
    while count := body.readinto(buffer):
        data += buffer[:count]
    if expected.length is not None and expected.length != len(data):
        raise errors.IncompleteBody
    if expected.md5 is not None and expected.md5 != hashlib.md5(data).digest():
        raise errors.BadDigest
    if expected.sha256 is not None and expected.sha256 != hashlib.sha256(data).hexdigest():
        raise errors.XAmzContentSHA256Mismatch
    declared = dict(expected.checksums)
    if expected.trailer_checksum:
        declared[expected.trailer_checksum] = body.trailers()[f"x-amz-checksum-{expected.trailer_checksum}"]
    for algorithm, value in declared.items():
        if value != checksum(algorithm, bytes(data)):
            raise errors.BadDigest(f"The {algorithm.upper()} you specified did not match the calculated checksum.")
    return bytes(data), declared


def checksum(algorithm: str, data: bytes) -> str:
    hasher = checksums.hasher(algorithm)
    hasher.update(data)
    return checksums.encode(hasher.digest())


def describe(attributes: Attributes) -> dict[str, Any]:
    """Attributes as a record holds them."""
    found = {
        "type": attributes.content_type,
        "headers": dict(attributes.headers),
        "meta": dict(attributes.metadata),
        "class": attributes.storage_class,
        "tags": dict(attributes.tags) if attributes.tags else None,
        "owner": attributes.owner,
        **attributes.extra,
    }
    return {name: value for name, value in found.items() if value}


class FakeNode:
    def __init__(self, region: str = "us-east-1", domain: str = "") -> None:
        self.settings = Settings(region=region, domain=domain, node_id="node-1")
        self.clock = itertools.count(1_700_000_000_000, 1500)
        self.names = itertools.count()
        self.stored: dict[str, Bucket] = {}
        self.history: dict[tuple[str, str], list[Version]] = {}  # newest first
        self.data: dict[str, bytes] = {}  # by version, or upload id and part
        self.part_lists: dict[str, list[Part]] = {}
        self.in_progress: dict[str, Upload] = {}
        self.buckets, self.objects, self.uploads = Buckets(self), Objects(self), Uploads(self)

    def stamp(self) -> Stamp:
        return Stamp(next(self.clock), 0, "node-1")

    def bucket(self, name: str) -> Bucket:
        if name not in self.stored:
            raise errors.NoSuchBucket(BucketName=name)
        return self.stored[name]

    def current(self, bucket: str, key: str) -> Version | None:
        versions = self.history.get((bucket, key), [])
        return versions[0] if versions and versions[0].kind is Kind.OBJECT else None

    def check(self, bucket: str, key: str, conditions: Conditions) -> None:
        current = self.current(bucket, key)
        if conditions.if_match is not None:
            if current is None:
                raise errors.NoSuchKey(Key=key)
            if conditions.if_match not in ("*", current.etag):
                raise errors.PreconditionFailed(Condition="If-Match")
        if (
            conditions.if_none_match is not None
            and current is not None
            and conditions.if_none_match in ("*", current.etag)
        ):
            raise errors.PreconditionFailed(Condition="If-None-Match")
        if conditions.if_match_size is not None and (current is None or current.size != conditions.if_match_size):
            raise errors.PreconditionFailed
        wanted = conditions.if_match_last_modified
        if wanted is not None and (current is None or current.stamp.ms // 1000 != wanted // 1000):
            raise errors.PreconditionFailed

    def shown(self, version: Version) -> Version:
        """With what its bucket has to say about it."""
        bucket = self.bucket(version.bucket)
        rules = bucket.configuration.get("lifecycle") or []
        return replace(
            version, null_named=bool(bucket.versioning), expires=lifecycle.expiry(rules, version) if rules else None
        )

    def commit(self, bucket: str, key: str, data: bytes, etag: str, attributes: dict[str, Any]) -> Version:
        versioned = self.bucket(bucket).versioning == "Enabled"
        if not versioned:
            locks.check_overwriting(tuple(self.history.get((bucket, key), [])), wall_ms())
        attributes = {**attributes, **locks.placed(self.bucket(bucket), attributes, wall_ms())}
        name = f"{next(self.names):026}"
        version = Version(bucket, key, name, not versioned, Kind.OBJECT, self.stamp(), len(data), etag, attributes)
        self.data[name] = data
        return self.shown(self.insert(version))

    def insert(self, version: Version) -> Version:
        versions = self.history.setdefault((version.bucket, version.key), [])
        kept = [replace(old, is_latest=False) for old in versions if not (version.null and old.null)]
        versions[:] = [version, *kept]
        return version


class Buckets:
    def __init__(self, node: FakeNode) -> None:
        self.node = node

    def create(self, name: str, owner: str, configuration: dict[str, Any] | None = None) -> Bucket:
        if name in self.node.stored:
            if self.node.stored[name].owner != owner:
                raise errors.BucketAlreadyExists(BucketName=name)
            return self.node.stored[name]
        self.node.stored[name] = Bucket(name, self.node.stamp(), owner, configuration or {})
        return self.node.stored[name]

    def get(self, name: str) -> Bucket:
        return self.node.bucket(name)

    def delete(self, name: str) -> None:
        self.node.bucket(name)
        if any(versions for (bucket, _), versions in self.node.history.items() if bucket == name):
            raise errors.BucketNotEmpty(BucketName=name)
        del self.node.stored[name]

    def list(self, prefix: str = "", after: str = "", limit: int = 10000) -> list[Bucket]:
        names = sorted(name for name in self.node.stored if name.startswith(prefix) and name > after)
        return [self.node.stored[name] for name in names[:limit]]

    def configure(self, name: str, kind: str, value: Any, check: Callable[[Bucket], None] = lambda _: None) -> None:
        bucket = self.node.bucket(name)
        check(bucket)
        kept = {known: old for known, old in bucket.configuration.items() if known != kind}
        new = kept if value is None else {**kept, kind: value}
        self.node.stored[name] = replace(bucket, configuration=new)


class Objects:
    def __init__(self, node: FakeNode) -> None:
        self.node = node

    def put(
        self,
        bucket: str,
        key: str,
        body: Any,
        expected: Expected,
        attributes: Attributes,
        conditions: Conditions = Conditions(),
    ) -> Version:
        self.node.bucket(bucket)
        data, sums = read_all(body, expected)
        self.node.check(bucket, key, conditions)
        described = {**describe(attributes), "checksums": sums}
        return self.node.commit(bucket, key, data, hashlib.md5(data).hexdigest(), described)

    def get(self, bucket: str, key: str, version_id: str | None = None, *, may_wait: bool = True) -> Version:
        self.node.bucket(bucket)
        versions = self.node.history.get((bucket, key), [])
        if version_id is not None:
            for version in versions:
                if version.version_id == version_id:
                    if version.kind is Kind.DELETE_MARKER:
                        raise errors.MethodNotAllowed(
                            delete_marker="true", version_id=version_id, last_modified_ms=str(version.stamp.ms)
                        )
                    return self.node.shown(version)
            raise errors.NoSuchVersion(Key=key, VersionId=version_id)
        if not versions:
            raise errors.NoSuchKey(Key=key)
        if versions[0].kind is Kind.DELETE_MARKER:
            raise errors.NoSuchKey(Key=key, delete_marker="true", version_id=versions[0].version_id)
        return self.node.shown(versions[0])

    def payload(self, version: Version, start: int = 0, length: int | None = None, *, may_wait: bool = True) -> Payload:
        data = self.node.data[version.version]
        return Payload(data[start : len(data) if length is None else start + length])

    def parts(self, version: Version) -> list[Part]:
        return self.node.part_lists.get(version.version, [])

    def delete(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        conditions: Conditions = Conditions(),
        *,
        bypass: bool = False,
    ) -> Deleted:
        versioning = self.node.bucket(bucket).versioning
        self.node.check(bucket, key, conditions)
        versions = self.node.history.setdefault((bucket, key), [])
        if version_id is not None:
            gone = [version for version in versions if version.version_id == version_id]
            for version in gone:
                locks.check_removal(version, wall_ms(), bypass=bypass)
            versions[:] = [version for version in versions if version.version_id != version_id]
            if versions:
                versions[0] = replace(versions[0], is_latest=True)
            return Deleted(version_id, bool(gone) and gone[0].kind is Kind.DELETE_MARKER)
        if not versioning:
            versions.clear()
            return Deleted(None, False)
        null = versioning == "Suspended"
        marker = Version(
            bucket, key, f"{next(self.node.names):026}", null, Kind.DELETE_MARKER, self.node.stamp(), 0, ""
        )
        self.node.insert(marker)
        return Deleted(marker.version_id, True)

    def delete_many(
        self, bucket: str, entries: list[tuple[str, str | None, Conditions]], *, bypass: bool = False
    ) -> list[Deleted | errors.S3Error]:
        self.node.bucket(bucket)
        results: list[Deleted | errors.S3Error] = []
        for key, version_id, conditions in entries:
            try:
                results.append(self.delete(bucket, key, version_id, conditions, bypass=bypass))
            except errors.S3Error as error:
                results.append(error)
        return results

    def copy(
        self,
        source: Version,
        bucket: str,
        key: str,
        attributes: Attributes,
        conditions: Conditions = Conditions(),
        checksum_algorithm: str = "",
    ) -> Version:
        self.node.bucket(bucket)
        self.node.check(bucket, key, conditions)
        data = self.node.data[source.version]
        algorithms = [checksum_algorithm] if checksum_algorithm else list(source.checksums)
        sums = {algorithm: checksum(algorithm, data) for algorithm in algorithms}
        described = {**describe(attributes), "checksums": sums}
        return self.node.commit(bucket, key, data, hashlib.md5(data).hexdigest(), described)

    def update(
        self, bucket: str, key: str, version_id: str | None, kind: str, value: Any, *, bypass: bool = False
    ) -> Version:
        version = self.get(bucket, key, version_id)
        locks.check_update(self.node.bucket(bucket), version, kind, value, wall_ms(), bypass=bypass)
        attributes = {known: old for known, old in version.attributes.items() if known != kind}
        changed = replace(version, attributes=attributes if value is None else {**attributes, kind: value})
        versions = self.node.history[bucket, key]
        versions[versions.index(version)] = changed
        return changed

    def list(self, bucket: str, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000) -> Page:
        self.node.bucket(bucket)
        keys = [key for (name, key) in self.node.history if name == bucket and self.node.current(bucket, key)]
        entries: list[Version | CommonPrefix] = []
        for place in places(keys, prefix, delimiter, after):
            if len(entries) == limit:
                last = entries[-1]
                return Page(entries, True, last.prefix if isinstance(last, CommonPrefix) else last.key)
            entries.append(place if isinstance(place, CommonPrefix) else self.get(bucket, place))
        return Page(entries, False, "")

    def list_versions(
        self,
        bucket: str,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        after_version: str = "",
        limit: int = 1000,
    ) -> Page:
        self.node.bucket(bucket)
        keys = [key for (name, key), versions in self.node.history.items() if name == bucket and versions]
        entries: list[Version | CommonPrefix] = []
        if after_version:
            older = itertools.dropwhile(lambda v: v.version_id != after_version, self.node.history[bucket, after])
            entries.extend(list(older)[1:])
        for place in places(keys, prefix, delimiter, after):
            entries.extend([place] if isinstance(place, CommonPrefix) else self.node.history[bucket, place])
        page = entries[:limit]
        if len(entries) <= limit:
            return Page(page, False, "")
        last = page[-1]
        if isinstance(last, CommonPrefix):
            return Page(page, True, last.prefix)
        return Page(page, True, last.key, last.version_id)


def places(keys: list[str], prefix: str, delimiter: str, after: str) -> Iterator[str | CommonPrefix]:
    """Keys and common prefixes in UTF-8 order, strictly after `after`."""

    def rolled(key: str) -> str | None:
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        return None if end < 0 else key[: end + len(delimiter)]

    seen = rolled(after) if after.startswith(prefix) else None
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix) or key.encode() <= after.encode():
            continue
        common = rolled(key)
        if common is None:
            yield key
        elif common != seen:
            seen = common
            yield CommonPrefix(common)


class Uploads:
    def __init__(self, node: FakeNode) -> None:
        self.node = node
        self.finished: dict[str, Version] = {}
        self.stored: dict[str, dict[int, Part]] = {}

    def create(
        self, bucket: str, key: str, attributes: Attributes, checksum_algorithm: str = "", checksum_type: str = ""
    ) -> Upload:
        found = self.node.bucket(bucket)
        if attributes.extra.keys() & {"retention", "legal_hold"}:
            locks.check_bucket(found)
        upload = Upload(
            bucket,
            key,
            f"upload{next(self.node.names)}",
            next(self.node.clock),
            describe(attributes),
            checksum_algorithm,
            checksum_type,
        )
        self.node.in_progress[upload.upload_id] = upload
        self.stored[upload.upload_id] = {}
        return upload

    def get(self, bucket: str, key: str, upload_id: str) -> Upload:
        self.node.bucket(bucket)
        upload = self.node.in_progress.get(upload_id)
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise errors.NoSuchUpload(UploadId=upload_id)
        return upload

    def put_part(self, bucket: str, key: str, upload_id: str, number: int, body: Any, expected: Expected) -> Part:
        self.get(bucket, key, upload_id)
        data, sums = read_all(body, expected)
        return self._store(upload_id, number, data, sums)

    def _store(self, upload_id: str, number: int, data: bytes, sums: dict[str, str]) -> Part:
        algorithm = self.node.in_progress[upload_id].checksum_algorithm
        if algorithm:
            sums = {**sums, algorithm: checksum(algorithm, data)}
        name = f"{upload_id}.{number}"
        self.node.data[name] = data
        part = Part(number, len(data), hashlib.md5(data).hexdigest(), sums, name, next(self.node.clock))
        self.stored[upload_id][number] = part
        return part

    def copy_part(
        self, bucket: str, key: str, upload_id: str, number: int, source: Version, start: int, length: int
    ) -> Part:
        self.get(bucket, key, upload_id)
        return self._store(upload_id, number, self.node.data[source.version][start : start + length], {})

    def complete(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: list[tuple[int, str, dict[str, str]]],
        expected_checksums: dict[str, str] | None = None,
        checksum_type: str = "",
        object_size: int | None = None,
        conditions: Conditions = Conditions(),
    ) -> Version:
        self.node.bucket(bucket)
        if upload_id in self.finished:
            return self.finished[upload_id]
        upload = self.get(bucket, key, upload_id)
        chosen = self._chosen(upload_id, parts)
        data = b"".join(self.node.data[part.name] for part in chosen)
        if object_size is not None and object_size != len(data):
            raise errors.InvalidRequest
        self.node.check(bucket, key, conditions)
        attributes = dict(upload.attributes)
        attributes["parts"] = len(chosen)
        algorithm = upload.checksum_algorithm
        if algorithm:
            values = [part.checksums[algorithm] for part in chosen]
            full = upload.checksum_type == "FULL_OBJECT"
            whole = checksum(algorithm, data) if full else checksums.composite(algorithm, values)
            if expected_checksums and expected_checksums.get(algorithm, whole) != whole:
                raise errors.BadDigest
            attributes["checksums"], attributes["checksum_type"] = {algorithm: whole}, upload.checksum_type
        digest = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in chosen)).hexdigest()
        version = self.node.commit(bucket, key, data, f"{digest}-{len(chosen)}", attributes)
        self.node.part_lists[version.version] = [
            replace(part, number=number) for number, part in enumerate(chosen, start=1)
        ]
        self.finished[upload_id] = version
        del self.node.in_progress[upload_id]
        return version

    def _chosen(self, upload_id: str, parts: list[tuple[int, str, dict[str, str]]]) -> list[Part]:
        numbers = [number for number, _, _ in parts]
        if numbers != sorted(set(numbers)):
            raise errors.InvalidPartOrder
        chosen = []
        for number, etag, sums in parts:
            part = self.stored[upload_id].get(number)
            if part is None or part.etag != etag or any(part.checksums.get(a) != v for a, v in sums.items()):
                raise errors.InvalidPart(PartNumber=str(number))
            chosen.append(part)
        if any(part.size < MIN_PART for part in chosen[:-1]):
            raise errors.EntityTooSmall
        return chosen

    def abort(self, bucket: str, key: str, upload_id: str) -> None:
        self.get(bucket, key, upload_id)
        del self.node.in_progress[upload_id]

    def end_all(self, bucket: str) -> None:
        for upload in [one for one in self.node.in_progress.values() if one.bucket == bucket]:
            del self.node.in_progress[upload.upload_id]

    def list_parts(
        self, bucket: str, key: str, upload_id: str, after: int = 0, limit: int = 1000
    ) -> tuple[Upload, list[Part], bool]:
        upload = self.get(bucket, key, upload_id)
        parts = [part for number, part in sorted(self.stored[upload_id].items()) if number > after]
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
        self.node.bucket(bucket)
        mine = [upload for upload in self.node.in_progress.values() if upload.bucket == bucket]
        entries: list[Upload | CommonPrefix] = []
        if upload_id_marker:
            entries += [u for u in mine if u.key == key_marker and u.upload_id > upload_id_marker]
        for place in places([upload.key for upload in mine], prefix, delimiter, key_marker):
            if isinstance(place, CommonPrefix):
                entries.append(place)
            else:
                entries += [u for u in mine if u.key == place and u not in entries]
        page = entries[:limit]
        if len(entries) <= limit:
            return page, False, "", ""
        last = page[-1]
        if isinstance(last, CommonPrefix):
            return page, True, last.prefix, ""
        return page, True, last.key, last.upload_id
