"""What the store holds, as values: buckets, versions of objects, parts of uploads, pages of listings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ironbucket.clock import Stamp

Json = Mapping[str, Any]


class Kind(Enum):
    """What an entry of a key's history is."""

    OBJECT = "object"
    DELETE_MARKER = "marker"
    TOMBSTONE = "tombstone"  # something was here, and its deletion must win over late arrivals
    PENDING = "pending"  # metadata of a version whose PUT has not arrived yet


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one key, as the index knows it.

    `attributes` is the JSON object of its record (see docs/wal-format.md); the properties below read it.
    """

    bucket: str
    key: str
    version: str  # 26 characters; also names the payload; the S3 version id unless `null`
    null: bool  # made while versioning was off or suspended: S3 calls this version "null"
    kind: Kind
    stamp: Stamp
    size: int  # bytes the client sent
    etag: str  # without quotes
    attributes: Json = field(default_factory=dict)
    is_latest: bool = True
    sequence: int = 0  # of the record that made it, in the log of stamp.node and stamp.epoch
    #: what a reader is told besides, which depends on the bucket: whether it names null versions (it has versioning, on
    #: or suspended), and when a rule of its lifecycle removes this one: (Unix milliseconds, the rule's id)
    null_named: bool = field(default=False, compare=False)
    expires: tuple[int, str] | None = field(default=None, compare=False)

    @property
    def version_id(self) -> str:
        """The version id that S3 clients see."""
        return "null" if self.null else self.version

    @property
    def content_type(self) -> str:
        return str(self.attributes.get("type", "binary/octet-stream"))

    @property
    def headers(self) -> Mapping[str, str]:
        """Cache-Control, Content-Disposition, Content-Encoding, Content-Language, Expires: lower-case names."""
        return dict(self.attributes.get("headers", {}))

    @property
    def metadata(self) -> Mapping[str, str]:
        """User metadata: names without x-amz-meta-, lower case."""
        return dict(self.attributes.get("meta", {}))

    @property
    def checksums(self) -> Mapping[str, str]:
        """Algorithm (crc32, crc32c, crc64nvme, sha1, sha256) -> base64 value, with -N for COMPOSITE."""
        return dict(self.attributes.get("checksums", {}))

    @property
    def checksum_type(self) -> str:
        return str(self.attributes.get("checksum_type", "FULL_OBJECT"))

    @property
    def storage_class(self) -> str:
        return str(self.attributes.get("class", "STANDARD"))

    @property
    def owner(self) -> str:
        """The owner's id; its display name is the account's."""
        return str(self.attributes.get("owner", ""))

    @property
    def parts(self) -> int:
        """How many parts a completed multipart upload has; 0 for an object that was put whole."""
        return int(self.attributes.get("parts", 0))

    @property
    def modified_ms(self) -> int:
        """When it was made: its stamp, but for a marker that an expiration put behind the version that it saw."""
        return int(self.attributes.get("made", self.stamp.ms))

    @property
    def tags(self) -> Mapping[str, str]:
        return dict(self.attributes.get("tags", {}))


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and all of its configuration."""

    name: str
    created: Stamp
    owner: str
    configuration: Json = field(default_factory=dict)  # kind (versioning, policy, cors, ...) -> JSON value

    @property
    def versioning(self) -> str:
        """ "", "Enabled" or "Suspended". An object lock needs versions: what two nodes set at once cannot undo that."""
        return "Enabled" if self.locks else str(self.configuration.get("versioning", ""))

    @property
    def locks(self) -> bool:
        """Whether versions in it can be locked. Once true it stays so."""
        return bool(self.configuration.get("object-lock"))


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart upload or of the object it became."""

    number: int  # 1..10000
    size: int  # bytes
    etag: str  # MD5, hexadecimal
    checksums: Mapping[str, str]
    name: str  # the payload's file name inside the upload's directory
    modified_ms: int


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload in progress."""

    bucket: str
    key: str
    upload_id: str
    initiated_ms: int
    attributes: Json  # what the completed object's record will carry
    checksum_algorithm: str = ""  # "", crc32, crc32c, crc64nvme, sha1, sha256
    checksum_type: str = ""  # "", FULL_OBJECT, COMPOSITE


@dataclass(frozen=True, slots=True)
class CommonPrefix:
    """An entry of a listing that stands for all keys that share it."""

    prefix: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing, in UTF-8 byte order."""

    entries: list[Version | CommonPrefix]
    truncated: bool
    next_after: str  # the key or prefix to continue after; "" when not truncated
    next_version: str = ""  # of a version listing: the version id to continue after
