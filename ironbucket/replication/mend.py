"""Mending a payload: fetch its bytes from a peer that has a good copy, compare them, put them in place of the bad ones.

Clients that read meanwhile are not disturbed: a file gets its name only once it is whole, checked and on disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

from ironbucket import fsutil
from ironbucket.errors import IronBucketError
from ironbucket.replication.peer import Peer
from ironbucket.store import check
from ironbucket.store.check import Damage
from ironbucket.store.model import Part, Version
from ironbucket.store.payloads import Payloads, write_manifest

if TYPE_CHECKING:
    from ironbucket.config import Settings

_CHUNK = 1 << 20


class NotMended(IronBucketError):
    """No peer has a good copy."""


def mend(settings: Settings, payloads: Payloads, damage: Damage) -> str:
    """Replace what is bad of a payload by a peer's copy. Returns the peer's address. Raises NotMended, with reasons."""
    reasons = []
    for address in settings.cluster_nodes:
        peer = Peer(address, settings.cluster_secret, settings.node_id)
        try:
            _mend_from(peer, payloads, damage)
        except IronBucketError as error:
            reasons.append(error.message if error.message.startswith(address) else f"{address}: {error.message}")
        else:
            return address
        finally:
            peer.close()
    raise NotMended("; ".join(reasons) or "CLUSTER_NODES names no peer")


def _mend_from(peer: Peer, payloads: Payloads, damage: Damage) -> None:
    version = damage.version
    path = payloads.layout.payload(version.bucket, version.key, version.version)
    if not version.parts:
        _fetch(peer, payloads, version, path, 0, version.size, check.etag_of(version))
        return
    if damage.part is not None:
        parts, wanted = payloads.parts(version), {damage.part.number}
    else:  # the manifest itself: all that it should list has to be looked at
        parts = _fetch_parts(peer, version)
        wanted = {part.number for part in parts if not _is_good(f"{path}/{part.name}", part)}
    offset = 0
    for part in parts:
        if part.number in wanted:
            _fetch(peer, payloads, version, f"{path}/{part.name}", offset, part.size, part.etag)
        offset += part.size
    if damage.part is None:
        fsutil.make_directory(path)
        write_manifest(path, parts)


def _is_good(path: str, part: Part) -> bool:
    try:
        return os.path.getsize(path) == part.size and check.digest_of(path, "md5").hex() == part.etag
    except OSError:
        return False


def _fetch(peer: Peer, payloads: Payloads, version: Version, path: str, start: int, length: int, etag: str) -> None:
    place = {"bucket": version.bucket, "key": version.key, "version": version.version}
    payloads.prepare_bucket(version.bucket)
    staged = f"{payloads.layout.staging(version.bucket)}/.mend-{version.version}-{os.getpid()}"
    try:
        digest = hashlib.md5(usedforsecurity=False)
        with (
            peer.open("bytes", {**place, "start": str(start), "length": str(length)}) as source,
            open(staged, "wb") as target,
        ):
            remaining = length
            while remaining and (chunk := source.read(min(_CHUNK, remaining))):
                digest.update(chunk)
                target.write(chunk)
                remaining -= len(chunk)
            target.flush()
            os.fsync(target.fileno())
        if remaining:
            raise NotMended(f"{remaining} bytes of its copy are missing")
        if etag and digest.hexdigest() != etag:
            raise NotMended(f"its copy is damaged too: MD5 {digest.hexdigest()} where {etag} was stored")
        _put_in_place(staged, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(staged)


def _put_in_place(staged: str, path: str) -> None:
    folder = os.path.dirname(path)
    fsutil.make_directory(folder)
    about = os.stat(folder)
    if os.geteuid() == 0:  # run by root for a node that is not: it has to be able to read and remove the file
        os.chown(staged, about.st_uid, about.st_gid)
    os.chmod(staged, 0o640)
    os.rename(staged, path)
    fsutil.sync_directory(folder)


def _fetch_parts(peer: Peer, version: Version) -> list[Part]:
    parts: list[Part] = []
    after: int | None = 0
    place = {"bucket": version.bucket, "key": version.key, "version": version.version}
    while after is not None:
        answer = peer.post("digest", {"ask": "parts", **place, "after": after})
        parts += [Part(**part) for part in answer["parts"]]
        after = answer["next"]
    if sum(part.size for part in parts) != version.size:
        raise NotMended("its list of parts is not that of this object")
    return parts
