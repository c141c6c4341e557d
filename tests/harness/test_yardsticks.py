"""The yardsticks themselves: a wrong one would find right what is wrong."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.harness import disks
from tests.harness.ledger import ABSENT, Ledger, digest
from tests.harness.process import environment, free_port, wait_until
from tests.harness.signing import EMPTY_SHA256, Signer, path_of, query_of
from tests.s3 import listing_model as model

KEYS = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize("key", ["a", "a b+c", "ü/日本", "a//b", "..", "%41", "~*'()!"])
@pytest.mark.parametrize("query", ["", "b=2&a=1", "prefix=%C3%BC%20&list-type=2", "uploads="])
def test_headers_are_signed_as_botocore_does(key: str, query: str) -> None:
    path = path_of("bucket", key)
    extra = {"x-amz-meta-m": "  two  spaces ", "Content-Type": "text/plain"}
    ours = Signer(*KEYS).header("PUT", "example.test:9000", path, query, extra, EMPTY_SHA256)
    request = AWSRequest("PUT", f"http://example.test:9000{path}?{query}", headers=extra)
    request.headers["X-Amz-Content-SHA256"] = EMPTY_SHA256
    request.context["timestamp"] = ours["X-Amz-Date"]
    theirs = S3SigV4Auth(Credentials(*KEYS), "s3", "us-east-1")
    request.headers["X-Amz-Date"] = ours["X-Amz-Date"]
    canonical = theirs.canonical_request(request)
    signature = theirs.signature(theirs.string_to_sign(request, canonical), request)
    assert ours["Authorization"].endswith(signature)


def test_urls_are_presigned_as_botocore_does() -> None:
    request = AWSRequest("GET", "http://example.test:9000/bucket/%C3%BC%20k")
    S3SigV4QueryAuth(Credentials(*KEYS), "s3", "us-east-1", expires=300).add_auth(request)
    theirs = dict(pair.split("=") for pair in urlsplit(request.url).query.split("&"))
    ours = Signer(*KEYS).presign("GET", "example.test:9000", "/bucket/%C3%BC%20k", timestamp=theirs["X-Amz-Date"])
    assert dict(pair.split("=") for pair in ours.split("&")) == theirs


def test_the_streaming_example_of_the_reference() -> None:
    """The worked example of "Signature Calculations: Transferring Payload in Multiple Chunks"."""
    signer = Signer(*KEYS)
    at = "20130524T000000Z"
    seed = {
        "X-Amz-Date": at,
        "Authorization": "Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    }
    pieces = signer.chunks(seed, b"a" * 66560, 65536)
    assert [piece.split(b"\r\n", 1)[0] for piece in pieces] == [
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        b"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        b"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]


def test_queries() -> None:
    assert query_of({"a b": "c+d", "e": ""}) == "a%20b=c%2Bd&e="


def test_the_model_of_a_listing() -> None:
    keys = ["a", "b/1", "b/2", "c"]
    assert model.page(keys, delimiter="/") == model.ModelPage(("a", "c"), ("b/",), False, "c")
    assert model.page(keys, delimiter="/", limit=2) == model.ModelPage(("a",), ("b/",), True, "b/")
    assert model.page(keys, delimiter="/", after="b/", limit=2).keys == ("c",)
    assert model.page(keys, after="b/1").keys == ("b/2", "c")
    assert model.page(["\U0001f600", "\ufffd"]).keys == ("\ufffd", "\U0001f600")


def test_the_ledger_permits_what_was_acknowledged_or_tried_since() -> None:
    ledger = Ledger()
    ledger.stored("k", b"1")
    assert ledger.permitted("k") == {digest(b"1")}
    ledger.sent("k", digest(b"2"))
    ledger.lost("k")
    ledger.sent("k", ABSENT)
    assert ledger.permitted("k") == {digest(b"1"), digest(b"2"), ABSENT}
    ledger.answered("k", ABSENT)
    assert ledger.permitted("k") == {ABSENT}


def test_waiting_ends() -> None:
    with pytest.raises(AssertionError, match="never"):
        wait_until(lambda: False, "never", timeout=0.05)


def test_ports_and_environment() -> None:
    assert 1024 <= free_port() <= 65535
    assert environment({"PORT": 1})["PORT"] == "1"
    assert not [name for name in environment({}) if name.startswith("AWS_")]


@pytest.mark.root
@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_a_power_cut_takes_what_was_not_synced_and_nothing_else(tmp_path: Path, kind: str) -> None:
    disk = disks.Disk(tmp_path, kind, 0)
    try:
        with (disk.path / "synced").open("wb") as file:
            file.write(b"kept")
            file.flush()
            os.fsync(file.fileno())
        (disk.path / "unsynced").write_bytes(b"lost")
        disk.cut_power()
        disk.return_power()
        assert (disk.path / "synced").read_bytes() == b"kept"
        assert not (disk.path / "unsynced").exists() or (disk.path / "unsynced").read_bytes() == b""
    finally:
        disk.close()


@pytest.mark.root
def test_a_filled_disk_takes_nothing_more(tmp_path: Path) -> None:
    disk = disks.Disk(tmp_path, "ext4", 0)
    try:
        disk.fill()
        with pytest.raises(OSError, match="No space"):
            (disk.path / "more").write_bytes(b"x" * 100_000)
        disk.drain()
        (disk.path / "more").write_bytes(b"x" * 100_000)
    finally:
        disk.close()
