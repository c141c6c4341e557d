"""Multipart uploads in progress: the files are the whole truth."""

import os
from pathlib import Path

import pytest

from ironbucket.errors import NoSuchUpload
from ironbucket.store.model import Upload
from ironbucket.store.paths import Layout
from ironbucket.store.uploads import UploadStore, new_upload_id, upload_node
from tests.unit.store.test_payloads import Data


@pytest.fixture
def uploads(tmp_path: Path) -> UploadStore:
    layout = Layout(str(tmp_path))
    os.makedirs(layout.staging("photos"))
    return UploadStore(layout)


def begin(uploads: UploadStore, key: str = "key") -> Upload:
    upload = Upload("photos", key, new_upload_id("node-1"), 5, {"type": "t"}, "crc32", "FULL_OBJECT")
    uploads.create(upload)
    return upload


def add(uploads: UploadStore, upload: Upload, number: int, data: bytes) -> str:
    path, received = uploads.receive_part(upload, number, Data(data), ["md5"])
    return uploads.keep_part(path, number, received, {"crc32": "AAAAAA=="}).name


def test_an_upload_is_what_it_was(uploads: UploadStore) -> None:
    upload = begin(uploads, "k/\ud800é")
    assert uploads.load("photos", "k/\ud800é", upload.upload_id) == upload
    assert upload_node(upload.upload_id) == "node-1"
    with pytest.raises(NoSuchUpload):
        uploads.load("photos", "other", upload.upload_id)


@pytest.mark.parametrize("text", ["", "..", "../x", "a/b", "01JD3V2Q9Z8K7M5N4P3R2S1T0V", "x" * 300, "\0"])
def test_what_is_no_upload_id(uploads: UploadStore, text: str) -> None:
    assert upload_node(text) is None
    for action in (
        lambda: uploads.load("photos", "key", text),
        lambda: uploads.parts("photos", text),
        lambda: uploads.end("photos", text),
    ):
        with pytest.raises(NoSuchUpload):
            action()


def test_the_newest_part_of_a_number_counts(uploads: UploadStore) -> None:
    upload = begin(uploads)
    add(uploads, upload, 2, b"two")
    for number in range(20):
        add(uploads, upload, 1, bytes(number))
    name = add(uploads, upload, 1, b"newer")
    parts = uploads.parts("photos", upload.upload_id)
    assert [(number, part.size, part.checksums) for number, part in parts.items()] == [
        (1, 5, {"crc32": "AAAAAA=="}),
        (2, 3, {"crc32": "AAAAAA=="}),
    ]
    assert parts[1].name == name


def test_uploads_are_scanned_by_key_and_age(uploads: UploadStore) -> None:
    assert uploads.scan("photos") == []
    made = [begin(uploads, key) for key in ("b", "a", "é", "a")]
    expected = sorted(made, key=lambda one: (one.key.encode(), one.upload_id))
    assert uploads.scan("photos") == expected


def test_a_part_that_arrives_after_the_end(uploads: UploadStore) -> None:
    upload = begin(uploads)
    path, received = uploads.receive_part(upload, 1, Data(b"data"), ["md5"])
    doomed = uploads.end("photos", upload.upload_id)
    with pytest.raises(NoSuchUpload):
        uploads.keep_part(path, 1, received, {})
    with pytest.raises(NoSuchUpload):
        uploads.receive_part(upload, 2, Data(b"data"), ["md5"])
    uploads.free(doomed)
    assert not os.path.exists(doomed)
