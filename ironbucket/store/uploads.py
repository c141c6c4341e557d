"""Multipart uploads in progress: one directory each, whose files are the whole truth.

    STORAGE_PATH/BUCKET/.uploads/UPLOAD_ID/upload.json
                                           00001~<md5>~<version>~crc32c=<base64url>    a part
    STORAGE_PATH/BUCKET/.uploads/UPLOAD_ID/.00001~<version>                            a part that is arriving

Completing writes ``manifest.json`` beside the parts and renames the directory to the object's payload: nothing is
copied.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from ironbucket import checksums, fsutil
from ironbucket.errors import NoSuchUpload
from ironbucket.store.model import Part, Upload
from ironbucket.store.paths import Layout, is_version, made_ms, new_version
from ironbucket.store.receive import Received, Source, receive

_STATE = "upload.json"
_naming = threading.Lock()
_latest = ""
_UPLOAD_ID = re.compile(r"[0-9A-Z]{26}\.[A-Za-z0-9_-]{1,64}")


def new_upload_id(node: str) -> str:
    """An upload id: when it began, and the node that holds its parts."""
    return f"{new_version()}.{node}"


def upload_node(upload_id: str) -> str | None:
    """The node that holds an upload's parts; None for what is no upload id."""
    return upload_id.partition(".")[2] if _UPLOAD_ID.fullmatch(upload_id) else None


class UploadStore:
    """The uploads in progress under one STORAGE_PATH."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def directory(self, bucket: str, upload_id: str) -> str:
        """Raises NoSuchUpload for what is no upload id (and might be a path)."""
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise NoSuchUpload(UploadId=upload_id)
        return f"{self._layout.uploads(bucket)}/{upload_id}"

    def create(self, upload: Upload) -> None:
        """Begin an upload, durably."""
        directory = self.directory(upload.bucket, upload.upload_id)
        fsutil.make_directory(directory)
        document = asdict(upload)
        fsutil.replace_file(
            f"{directory}/{_STATE}", json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
        )

    def load(self, bucket: str, key: str, upload_id: str) -> Upload:
        """Raises NoSuchUpload, also for the upload of another key."""
        try:
            upload = _read_state(f"{self.directory(bucket, upload_id)}/{_STATE}")
        except (FileNotFoundError, NotADirectoryError):
            raise NoSuchUpload(UploadId=upload_id) from None
        if upload.key != key:
            raise NoSuchUpload(UploadId=upload_id)
        return upload

    def scan(self, bucket: str) -> list[Upload]:
        """All uploads of a bucket, by key and then by age."""
        uploads = []
        with contextlib.suppress(FileNotFoundError):
            for upload_id in os.listdir(self._layout.uploads(bucket)):
                with contextlib.suppress(FileNotFoundError, NoSuchUpload):  # completed or aborted meanwhile
                    uploads.append(_read_state(f"{self.directory(bucket, upload_id)}/{_STATE}"))
        return sorted(uploads, key=lambda one: (one.key.encode("utf-8", "surrogatepass"), one.upload_id))

    def receive_part(
        self, upload: Upload, number: int, source: Source, algorithms: Iterable[str]
    ) -> tuple[str, Received]:
        """Receive a part under a temporary name and sync it. Raises NoSuchUpload when the upload ends meanwhile."""
        path = f"{self.directory(upload.bucket, upload.upload_id)}/.{number:05d}~{new_version()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            try:
                fd, received = receive(source, lambda: os.open(path, flags, 0o640), algorithms)
            except FileNotFoundError:
                raise NoSuchUpload(UploadId=upload.upload_id) from None
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)
        except BaseException:
            self.discard(path)
            raise
        return path, received

    def keep_part(self, path: str, number: int, received: Received, kept: Mapping[str, str]) -> Part:
        """Give a received part its name, durably: it replaces an earlier part of its number. Raises NoSuchUpload."""
        directory = os.path.dirname(path)
        etag, version = received.digests["md5"].hex(), _later_version()  # the part that is done last counts
        name = "~".join([f"{number:05d}", etag, version, *(f"{a}={_file_safe(v)}" for a, v in kept.items())])
        try:
            os.rename(path, f"{directory}/{name}")
            fsutil.sync_directory(directory)
        except FileNotFoundError:
            raise NoSuchUpload from None
        return Part(number, received.size, etag, dict(kept), name, made_ms(version))

    def discard(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def parts(self, bucket: str, upload_id: str) -> dict[int, Part]:
        """The newest part of each number. Raises NoSuchUpload."""
        directory = self.directory(bucket, upload_id)
        found: dict[int, Part] = {}
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    part = _parse(entry)
                    if part and (part.number not in found or found[part.number].name[39:65] < part.name[39:65]):
                        found[part.number] = part
        except FileNotFoundError:
            raise NoSuchUpload(UploadId=upload_id) from None
        return dict(sorted(found.items()))

    def end(self, bucket: str, upload_id: str) -> str:
        """Take an upload away: from now on there is none. Returns where its parts lie, for `free`. Raises NoSuchUpload.

        A part that is just arriving fails with NoSuchUpload when it wants its name.
        """
        doomed = f"{self._layout.staging(bucket)}/{upload_id}.aborted"
        try:
            os.rename(self.directory(bucket, upload_id), doomed)
        except FileNotFoundError:
            raise NoSuchUpload(UploadId=upload_id) from None
        return doomed

    def free(self, doomed: str) -> None:
        """Remove what `end` has left. After a crash the sweep of staging does."""
        for name in os.listdir(doomed):
            os.unlink(f"{doomed}/{name}")
        os.rmdir(doomed)

    def prune(self, directory: str, keep: Iterable[str]) -> None:
        """Free the parts of a completed upload that it did not name."""
        wanted = {*keep, "manifest.json"}
        for name in os.listdir(directory):
            if name not in wanted:
                self.discard(f"{directory}/{name}")


def _later_version() -> str:
    """A version id that sorts behind all that this process has made here, also within a millisecond."""
    global _latest
    with _naming:
        while (version := new_version()) <= _latest:
            pass
        _latest = version
    return version


def _read_state(path: str) -> Upload:
    with open(path, "rb") as source:
        return Upload(**json.loads(source.read().decode("utf-8", "surrogatepass")))


def _parse(entry: os.DirEntry[str]) -> Part | None:
    fields = entry.name.split("~")
    if len(fields) < 3 or not fields[0].isdecimal() or not is_version(fields[2]):
        return None
    kept = {name: _from_file_safe(value) for name, _, value in (field.partition("=") for field in fields[3:])}
    return Part(int(fields[0]), entry.stat().st_size, fields[1], kept, entry.name, made_ms(fields[2]))


def _file_safe(value: str) -> str:
    return base64.urlsafe_b64encode(checksums.decode(value)).decode("ascii")


def _from_file_safe(value: str) -> str:
    return checksums.encode(base64.urlsafe_b64decode(value))
