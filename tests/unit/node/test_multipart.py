"""Multipart uploads: completing claims the parts once, whoever else completes or aborts."""

import hashlib
import threading
from pathlib import Path

import pytest

from ironbucket import checksums
from ironbucket.errors import BadDigest, EntityTooSmall, InvalidPart, InvalidPartOrder, InvalidRequest, NoSuchUpload
from ironbucket.node import Node
from ironbucket.node.body import Attributes, Conditions, Expected
from ironbucket.node.objects import bytes_body
from ironbucket.store.model import Part, Upload
from tests.unit.node.support import OWNER, check, contents, dies, opened, put

BIG = bytes(range(256)) * (20 << 10)  # 5 MiB, the least that S3 allows


def begin(node: Node, *parts: bytes, algorithm: str = "", kind: str = "") -> tuple[Upload, list[Part]]:
    upload = node.uploads.create("photos", "key", Attributes(owner=OWNER), algorithm, kind)
    made = [
        node.uploads.put_part("photos", "key", upload.upload_id, number, bytes_body(data), Expected())
        for number, data in enumerate(parts, 1)
    ]
    return upload, made


def complete(node: Node, upload: Upload, parts: list[Part], **more: object) -> object:
    chosen = [(part.number, part.etag, {}) for part in parts]
    return node.uploads.complete("photos", "key", upload.upload_id, chosen, **more)  # type: ignore[arg-type]


def test_the_parts_become_the_object(node: Node) -> None:
    upload, parts = begin(node, BIG, BIG, b"end")
    version = node.uploads.complete("photos", "key", upload.upload_id, [(p.number, p.etag, {}) for p in parts])
    digest = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts)).hexdigest()
    assert (version.etag, version.size, version.parts) == (f"{digest}-3", 2 * len(BIG) + 3, 3)
    assert contents(node) == {"key": BIG + BIG + b"end"}
    assert complete(node, upload, parts) == version, "repeated"
    check(node)


@pytest.mark.parametrize("start", [0, 1, len(BIG) - 1, len(BIG), len(BIG) + 1, 2 * len(BIG), 2 * len(BIG) + 2])
@pytest.mark.parametrize("length", [0, 1, 2, len(BIG), 2 * len(BIG)])
def test_ranges_over_the_borders_of_parts(multi: Node, start: int, length: int) -> None:
    version = multi.objects.get("photos", "key")
    whole = BIG + BIG + b"end"
    count = min(length, len(whole) - start)
    payload = multi.objects.payload(version, start, count)
    assert sum(extent[2] for extent in payload.extents) == payload.size == count
    assert payload.read() == whole[start : start + count]


@pytest.fixture(scope="module")
def multi(tmp_path_factory: pytest.TempPathFactory) -> Node:
    from tests.unit.node.support import make_settings

    settings = make_settings(tmp_path_factory.mktemp("multi"))
    with opened(settings) as node:
        node.buckets.create("photos", OWNER)
        complete(node, *begin(node, BIG, BIG, b"end"))
    return Node.open(settings)


def test_parts_that_are_not_named_or_replaced_are_freed(node: Node) -> None:
    upload, _ = begin(node, b"old", b"unwanted")
    again = node.uploads.put_part("photos", "key", upload.upload_id, 1, bytes_body(b"new"), Expected())
    version = node.uploads.complete("photos", "key", upload.upload_id, [(1, again.etag, {})])
    place = Path(node.payloads.layout.payload("photos", "key", version.version))
    assert {path.name for path in place.iterdir()} == {again.name, "manifest.json"}
    assert contents(node) == {"key": b"new"}


def test_two_completions_in_one_group_make_one_version(node: Node) -> None:
    upload, parts = begin(node, b"data")
    chosen = [(parts[0].number, parts[0].etag, {})]
    found: list[object] = []

    def run() -> None:
        found.append(node.uploads.complete("photos", "key", upload.upload_id, chosen))

    gate = threading.Event()
    leader = threading.Thread(target=node.committer.submit, args=(lambda _: gate.wait(),))
    leader.start()
    while node.committer._queue or not node.committer._leading:
        pass
    threads = [threading.Thread(target=run) for _ in range(3)]
    for number, thread in enumerate(threads):
        thread.start()
        while len(node.committer._queue) <= number:
            pass
    gate.set()
    for thread in [leader, *threads]:
        thread.join()
    assert found[0] == found[1] == found[2]
    assert contents(node) == {"key": b"data"}
    check(node)


def test_an_abort_in_the_group_of_a_completion_comes_too_late(node: Node) -> None:
    upload, parts = begin(node, b"data")
    outcomes: list[object] = []

    def settle(action: object) -> None:
        try:
            outcomes.append(action())  # type: ignore[operator]
        except NoSuchUpload as error:
            outcomes.append(error)

    gate = threading.Event()
    threads = [threading.Thread(target=node.committer.submit, args=(lambda _: gate.wait(),))]
    threads[0].start()
    while node.committer._queue or not node.committer._leading:
        pass
    for number, action in enumerate(
        (lambda: complete(node, upload, parts), lambda: node.uploads.abort("photos", "key", upload.upload_id))
    ):
        threads.append(threading.Thread(target=settle, args=(action,)))
        threads[-1].start()
        while len(node.committer._queue) <= number:
            pass
    gate.set()
    for thread in threads:
        thread.join()
    assert sum(isinstance(one, NoSuchUpload) for one in outcomes) == 1
    assert contents(node) == {"key": b"data"}
    check(node)


def test_completions_of_different_parts_do_not_mix(node: Node) -> None:
    upload, parts = begin(node, BIG, b"two", b"three")
    results: list[object] = []

    def run(numbers: tuple[int, ...]) -> None:
        chosen = [(parts[number - 1].number, parts[number - 1].etag, {}) for number in numbers]
        try:
            results.append(node.uploads.complete("photos", "key", upload.upload_id, chosen))
        except (NoSuchUpload, InvalidPart) as error:
            results.append(error)

    threads = [threading.Thread(target=run, args=(numbers,)) for numbers in ((1, 2), (1, 3), (2,), (3,))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    version = node.objects.get("photos", "key")
    data = node.objects.payload(version).read()
    assert len(data) == version.size
    assert (
        hashlib.md5(b"".join(bytes.fromhex(one.etag) for one in node.objects.parts(version))).hexdigest()
        == (version.etag.partition("-")[0])
    )
    check(node)


def test_after_an_abort_nothing_is_left(node: Node) -> None:
    upload, parts = begin(node, b"data", b"more")
    node.uploads.abort("photos", "key", upload.upload_id)
    for action in (
        lambda: node.uploads.abort("photos", "key", upload.upload_id),
        lambda: complete(node, upload, parts),
        lambda: node.uploads.put_part("photos", "key", upload.upload_id, 1, bytes_body(b""), Expected()),
        lambda: node.uploads.get("photos", "other", upload.upload_id),
        lambda: node.uploads.get("photos", "key", "../../etc"),
    ):
        with pytest.raises(NoSuchUpload):
            action()
    assert list(Path(node.payloads.layout.uploads("photos")).iterdir()) == []
    check(node)


@pytest.mark.parametrize("point", ["log-appended", "log-synced", "payload-settled", "index-commit", "index-committed"])
def test_a_crash_while_completing(node: Node, point: str) -> None:
    upload, parts = begin(node, b"data")
    settings = node.settings

    def finish() -> None:
        complete(Node.open(settings), upload, parts)

    assert dies(finish, f"{point}:kill")
    with pytest.raises(NoSuchUpload):
        node.uploads.abort("photos", "key", upload.upload_id)
    put(node, "other")  # whoever commits next applies what the log has
    assert contents(node)["key"] == b"data"
    assert node.uploads.complete("photos", "key", upload.upload_id, [(1, parts[0].etag, {})]).size == 4


def test_what_completing_refuses(node: Node) -> None:
    upload, parts = begin(node, b"small", b"end")
    one, two = ((part.number, part.etag, {}) for part in parts)
    for chosen, error in (
        ([two, one], InvalidPartOrder),
        ([one, one], InvalidPartOrder),
        ([(3, one[1], {})], InvalidPart),
        ([(1, two[1], {})], InvalidPart),
        ([one, two], EntityTooSmall),
    ):
        with pytest.raises(error):
            node.uploads.complete("photos", "key", upload.upload_id, chosen)
    with pytest.raises(InvalidRequest):
        node.uploads.complete("photos", "key", upload.upload_id, [one], object_size=4)
    put(node, "key", b"there")
    with pytest.raises(Exception, match="pre-conditions"):
        node.uploads.complete("photos", "key", upload.upload_id, [one], conditions=Conditions(if_none_match="*"))
    assert complete(node, upload, parts[:1], object_size=5)
    check(node)


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("crc32", "FULL_OBJECT"), ("crc64nvme", "FULL_OBJECT"), ("sha256", "COMPOSITE")]
)
def test_the_checksum_of_the_whole(node: Node, algorithm: str, kind: str) -> None:
    upload, parts = begin(node, BIG, b"end", algorithm=algorithm, kind=kind)
    hasher = checksums.hasher(algorithm)
    hasher.update(BIG + b"end")
    whole = checksums.encode(hasher.digest())
    if kind == "COMPOSITE":
        whole = checksums.composite(algorithm, [part.checksums[algorithm] for part in parts])
    with pytest.raises(BadDigest):
        complete(node, upload, parts, expected_checksums={algorithm: checksums.encode(bytes(4))})
    complete(node, upload, parts, expected_checksums={algorithm: whole})
    version = node.objects.get("photos", "key")
    assert (version.checksums, version.checksum_type) == ({algorithm: whole}, kind)


def test_listing_uploads_and_parts(node: Node) -> None:
    ids = []
    for key in ("a/1", "a/2", "b", "b"):
        upload = node.uploads.create("photos", key, Attributes())
        ids.append(upload.upload_id)
    everything, truncated, _, _ = node.uploads.list("photos")
    assert [one.upload_id for one in everything] == ids  # type: ignore[union-attr]
    assert not truncated
    found, marker, id_marker = [], "", ""
    while True:
        page, truncated, marker, id_marker = node.uploads.list(
            "photos", delimiter="/", key_marker=marker, upload_id_marker=id_marker, limit=1
        )
        found += page
        if not truncated:
            break
    assert [getattr(one, "prefix", None) or one.upload_id for one in found] == ["a/", *ids[2:]]  # type: ignore[union-attr]
    upload, parts = begin(node, b"1", b"2", b"3")
    listed = node.uploads.list_parts("photos", "key", upload.upload_id, after=1, limit=1)
    assert listed == (upload, parts[1:2], True)


def test_a_part_can_be_a_copy(node: Node) -> None:
    source = put(node, "source", b"0123456789")
    upload = node.uploads.create("photos", "key", Attributes())
    part = node.uploads.copy_part("photos", "key", upload.upload_id, 1, source, 3, 4)
    complete(node, upload, [part])
    assert contents(node)["key"] == b"3456"
