"""Closed segments are compressed: the same lines, under the same name with ``.zst`` (RFC 8878; read it with zstdcat).

The compressed file is complete, compared with the plain one and on disk before the plain one goes, so that a stop at
any point leaves the records in at least one of the two; where both are left, readers take the plain one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os

from ironbucket import failpoints, fsutil
from ironbucket.errors import LogDamaged
from ironbucket.wal.segment import open_segment, segments

_CHUNK = 1 << 20
_LEVEL = 6  # log lines shrink to a fifth at 150 MB/s; higher levels cost far more than they save
_TEMPORARY = ".zst.tmp"


def compress_closed(active: str, epoch: str) -> list[str]:
    """Compress every closed segment of a stream that is not; returns the new files. Raises OSError, LogDamaged."""
    return [
        compress(segment.path)
        for segment in segments(active, epoch)
        if not segment.compressed and segment.path != active
    ]


def compress(path: str) -> str:
    """Replace a closed segment by its compressed form, which is given the same time of modification."""
    import zstandard

    temporary, final = path + _TEMPORARY, path + ".zst"
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as source, open(temporary, "wb") as target:
            size = os.fstat(source.fileno()).st_size
            compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
            with compressor.stream_writer(target, size=size, closefd=False) as writer:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    writer.write(chunk)
            modified = os.fstat(source.fileno()).st_mtime_ns
            target.flush()
            os.utime(target.fileno(), ns=(modified, modified))
            os.fsync(target.fileno())
        failpoints.hit("segment-compressed")
        os.rename(temporary, final)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    fsutil.sync_directory(os.path.dirname(path))
    if _digest(final) != digest.digest():
        os.unlink(final)
        raise LogDamaged(final, 0, "the compressed segment does not hold what the plain one does")
    failpoints.hit("segment-archived")
    os.unlink(path)
    fsutil.sync_directory(os.path.dirname(path))
    return final


def remove_remnants(directory: str) -> None:
    """Remove what a compression that was cut short has left. Nothing else may compress in this directory meanwhile."""
    for name in os.listdir(directory):
        if name.endswith(_TEMPORARY):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(directory, name))


def _digest(path: str) -> bytes:
    digest = hashlib.sha256()
    with open_segment(path) as source:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()
