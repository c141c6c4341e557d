"""Multipart uploads: create, parts in any order, copies as parts, complete, abort, and the two listings."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.harness.raw import RawClient
from tests.s3.expect import body, etag, fails, missing

MIB = 1 << 20
SMALLEST = 5 * MIB


class Uploading:
    """One upload in progress."""

    def __init__(self, s3: Any, bucket: str, key: str = "k", **arguments: Any) -> None:
        self.s3, self.target = s3, {"Bucket": bucket, "Key": key}
        self.id = s3.create_multipart_upload(**self.target, **arguments)["UploadId"]
        self.parts: dict[int, str] = {}

    @property
    def full(self) -> dict[str, Any]:
        return {**self.target, "UploadId": self.id}

    def put(self, number: int, data: bytes, **arguments: Any) -> Any:
        answer = self.s3.upload_part(**self.full, PartNumber=number, Body=data, **arguments)
        self.parts[number] = answer["ETag"]
        return answer

    def complete(self, *numbers: int, **arguments: Any) -> Any:
        parts = [{"PartNumber": n, "ETag": self.parts[n]} for n in numbers or sorted(self.parts)]
        return self.s3.complete_multipart_upload(**self.full, MultipartUpload={"Parts": parts}, **arguments)


def multipart_etag(*parts: bytes) -> str:
    digests = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in parts)
    return f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"'


def test_parts_in_any_order_become_one_object(s3: Any, bucket: str) -> None:
    data = {1: os.urandom(SMALLEST), 2: os.urandom(SMALLEST + 1), 7: os.urandom(3)}
    upload = Uploading(s3, bucket)
    for number in (7, 2, 1):
        assert upload.put(number, data[number])["ETag"] == etag(data[number])
    assert missing(s3, bucket, "k")
    answer = upload.complete()
    assert answer["ETag"] == multipart_etag(*data.values())
    assert (answer["Bucket"], answer["Key"]) == (bucket, "k")
    assert answer["Location"].endswith(f"/{bucket}/k")
    stored = s3.get_object(Bucket=bucket, Key="k")
    assert stored["ETag"] == multipart_etag(*data.values())
    assert stored["Body"].read() == b"".join(data.values())


def test_ranges_across_parts(s3: Any, bucket: str) -> None:
    first, second = os.urandom(SMALLEST), os.urandom(100_000)
    upload = Uploading(s3, bucket)
    upload.put(1, first)
    upload.put(2, second)
    upload.complete()
    whole = first + second
    for start, end in ((0, 0), (SMALLEST - 1, SMALLEST), (SMALLEST - 70_000, SMALLEST + 70_000), (SMALLEST, SMALLEST)):
        answer = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={start}-{end}")
        assert answer["Body"].read() == whole[start : end + 1]
        assert answer["ContentRange"] == f"bytes {start}-{end}/{len(whole)}"
    assert body(s3, bucket, "k", Range="bytes=-5") == whole[-5:]


def test_reading_by_part_number(s3: Any, bucket: str) -> None:
    pieces = [os.urandom(SMALLEST), os.urandom(SMALLEST), b"last"]
    upload = Uploading(s3, bucket)
    for number, piece in enumerate(pieces, 1):
        upload.put(number, piece)
    upload.complete()
    for number, piece in enumerate(pieces, 1):
        for answer in (
            s3.get_object(Bucket=bucket, Key="k", PartNumber=number),
            s3.head_object(Bucket=bucket, Key="k", PartNumber=number),
        ):
            assert answer["PartsCount"] == 3
            assert answer["ContentLength"] == len(piece)
            assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert body(s3, bucket, "k", PartNumber=number) == piece
    with fails("InvalidPartNumber", 416):
        s3.get_object(Bucket=bucket, Key="k", PartNumber=4)


def test_a_part_can_be_sent_again(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    old = upload.put(1, b"old")["ETag"]
    upload.put(1, b"new")
    with fails("InvalidPart", 400):
        s3.complete_multipart_upload(**upload.full, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": old}]})
    upload.complete()
    assert body(s3, bucket, "k") == b"new"


def test_parts_that_are_not_named_are_left_out(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    upload.put(1, b"x" * SMALLEST)
    upload.put(2, b"not wanted")
    upload.put(3, b"end")
    upload.complete(1, 3)
    assert body(s3, bucket, "k") == b"x" * SMALLEST + b"end"


def test_complete_refuses_what_is_not_there(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    upload.put(1, b"x")
    for number, tag in ((2, etag(b"x")), (1, etag(b"y")), (1, '"nonsense"')):
        with fails("InvalidPart", 400):
            s3.complete_multipart_upload(
                **upload.full, MultipartUpload={"Parts": [{"PartNumber": number, "ETag": tag}]}
            )
    upload.complete()  # the upload outlives a refused completion


def test_complete_refuses_a_wrong_order(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    upload.put(1, b"x" * SMALLEST)
    upload.put(2, b"y" * SMALLEST)
    for order in ((2, 1), (1, 1)):
        with fails("InvalidPartOrder", 400):
            upload.complete(*order)


def test_complete_refuses_small_parts_but_for_the_last(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    upload.put(1, b"x" * (SMALLEST - 1))
    upload.put(2, b"y")
    with fails("EntityTooSmall", 400) as failure:
        upload.complete()
    assert failure.response["Error"]["ProposedSize"] == str(SMALLEST - 1)
    assert failure.response["Error"]["MinSizeAllowed"] == str(SMALLEST)
    assert missing(s3, bucket, "k")


def test_etags_without_quotes_and_as_xml_text(raw: RawClient, s3: Any, bucket: str) -> None:
    for quoted in ("{0}", '"{0}"', "&quot;{0}&quot;", "&#34;{0}&#34;"):
        upload = Uploading(s3, bucket)
        tag = upload.put(1, b"x")["ETag"].strip('"')
        document = (
            f"<CompleteMultipartUpload><Part><ETag>{quoted.format(tag)}</ETag><PartNumber>1</PartNumber></Part>"
            "</CompleteMultipartUpload>"
        )
        answer = raw.request("POST", bucket, "k", {"uploadId": upload.id}, body=document.encode())
        assert (answer.status, answer.code) == (200, ""), quoted


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<CompleteMultipartUpload/>",
        b"<CompleteMultipartUpload><Part/></CompleteMultipartUpload>",
        b"<CompleteMultipartUpload><Part><PartNumber>one</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
        b"<CompleteMultipartUpload><Part>",
        b"<Other/>",
    ],
)
def test_completion_documents_that_are_none(raw: RawClient, s3: Any, bucket: str, document: bytes) -> None:
    upload = Uploading(s3, bucket)
    upload.put(1, b"x")
    answer = raw.request("POST", bucket, "k", {"uploadId": upload.id}, body=document)
    assert answer.status == 400, str(answer)
    assert answer.code in ("MalformedXML", "InvalidRequest", "InvalidArgument", "InvalidPart"), str(answer)
    upload.complete()


def test_completing_twice_gives_the_same_answer(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    upload.put(1, b"x")
    assert upload.complete()["ETag"] == upload.complete()["ETag"]
    assert body(s3, bucket, "k") == b"x"


def test_a_repeated_completion_does_not_undo_a_later_write(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    upload.put(1, b"x")
    upload.complete()
    s3.put_object(Bucket=bucket, Key="k", Body=b"later")
    try:
        upload.complete()
    except s3.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchUpload"
    assert body(s3, bucket, "k") == b"later"


def test_two_completions_at_once_make_one_object(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    upload.put(1, b"x")
    with ThreadPoolExecutor(4) as pool:
        tags = {answer["ETag"] for answer in pool.map(lambda _: upload.complete(), range(4))}
    assert tags == {multipart_etag(b"x")}
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 1


def test_abort(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    upload.put(1, b"x")
    assert s3.abort_multipart_upload(**upload.full)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    for call in (
        lambda: upload.put(2, b"y"),
        upload.complete,
        lambda: s3.list_parts(**upload.full),
        lambda: s3.abort_multipart_upload(**upload.full),
    ):
        with fails("NoSuchUpload", 404):
            call()


@pytest.mark.parametrize("upload_id", ["x", "../../etc", "a" * 300, "%00", "null"])
def test_upload_ids_that_are_none(s3: Any, bucket: str, upload_id: str) -> None:
    with fails("NoSuchUpload", 404):
        s3.upload_part(Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=1, Body=b"x")


def test_an_upload_belongs_to_its_key(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket, "k")
    with fails("NoSuchUpload", 404):
        s3.upload_part(Bucket=bucket, Key="other", UploadId=upload.id, PartNumber=1, Body=b"x")


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", ""])
def test_part_numbers_that_are_none(raw: RawClient, s3: Any, bucket: str, number: str) -> None:
    upload = Uploading(s3, bucket)
    answer = raw.request("PUT", bucket, "k", {"partNumber": number, "uploadId": upload.id}, body=b"x")
    assert (answer.status, answer.code) == (400, "InvalidArgument"), str(answer)


def test_a_part_with_a_wrong_digest_is_not_kept(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    with fails("BadDigest", 400):
        upload.put(1, b"x", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
    assert "Parts" not in s3.list_parts(**upload.full)


def test_list_parts_page_by_page(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket, StorageClass="STANDARD_IA")
    for number in (3, 1, 10_000, 7):
        upload.put(number, b"x" * number)
    numbers = [1, 3, 7, 10_000]
    page = s3.list_parts(**upload.full)
    assert [(p["PartNumber"], p["Size"], p["ETag"]) for p in page["Parts"]] == [(n, n, etag(b"x" * n)) for n in numbers]
    assert (page["IsTruncated"], page["StorageClass"], page["UploadId"]) == (False, "STANDARD_IA", upload.id)
    assert page["Initiator"]["ID"] == page["Owner"]["ID"]
    found, marker = [], 0
    while True:
        page = s3.list_parts(**upload.full, MaxParts=2, PartNumberMarker=marker)
        found += [p["PartNumber"] for p in page["Parts"]]
        if not page["IsTruncated"]:
            break
        marker = page["NextPartNumberMarker"]
        assert marker == found[-1]
    assert found == numbers


def test_list_uploads_page_by_page(s3: Any, bucket: str) -> None:
    made = []
    for key in ("a", "b/1", "b/1", "b/1", "b/2", "c/x", "ü"):
        made.append((key, s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]))
    everything = [(u["Key"], u["UploadId"]) for u in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]]
    assert sorted(everything) == sorted(made)
    assert [key for key, _ in everything] == sorted((k for k, _ in made), key=str.encode)
    for limit in (1, 2, 3):
        found, markers = [], {}
        for _ in range(10):
            page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=limit, **markers)
            assert page["MaxUploads"] == limit
            found += [(u["Key"], u["UploadId"]) for u in page["Uploads"]]
            if not page["IsTruncated"]:
                break
            markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
        assert found == everything, limit


def test_list_uploads_by_prefix_and_delimiter(s3: Any, bucket: str) -> None:
    for key in ("a", "b/1", "b/2", "c/x/y", "d"):
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    page = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [u["Key"] for u in page["Uploads"]] == ["a", "d"]
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["b/", "c/"]
    page = s3.list_multipart_uploads(Bucket=bucket, Prefix="b/")
    assert [u["Key"] for u in page["Uploads"]] == ["b/1", "b/2"]
    page = s3.list_multipart_uploads(Bucket=bucket, KeyMarker="b/1")
    assert [u["Key"] for u in page["Uploads"]] == ["b/2", "c/x/y", "d"]


def test_copies_as_parts(s3: Any, bucket: str) -> None:
    data = os.urandom(SMALLEST + 1000)
    s3.put_object(Bucket=bucket, Key="source", Body=data)
    upload = Uploading(s3, bucket)
    source = {"Bucket": bucket, "Key": "source"}
    whole = s3.upload_part_copy(**upload.full, PartNumber=1, CopySource=source)["CopyPartResult"]
    part = s3.upload_part_copy(**upload.full, PartNumber=2, CopySource=source, CopySourceRange="bytes=10-19")
    assert whole["ETag"] == etag(data)
    assert part["CopyPartResult"]["ETag"] == etag(data[10:20])
    upload.parts = {1: whole["ETag"], 2: part["CopyPartResult"]["ETag"]}
    upload.complete()
    s3.delete_object(Bucket=bucket, Key="source")
    assert body(s3, bucket, "k") == data + data[10:20]


@pytest.mark.parametrize("asked", ["bytes=0-", "bytes=-5", "bytes=5-2", "0-5", "bytes=a-b", "bytes=0-5,7-9"])
def test_copy_ranges_must_name_both_ends(s3: Any, bucket: str, asked: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    upload = Uploading(s3, bucket)
    with fails("InvalidArgument", 400):
        s3.upload_part_copy(
            **upload.full, PartNumber=1, CopySource={"Bucket": bucket, "Key": "source"}, CopySourceRange=asked
        )


def test_copy_ranges_outside_the_source_are_refused(s3: Any, raw: RawClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    upload = Uploading(s3, bucket)
    for asked in ("bytes=0-10", "bytes=10-11", "bytes=50-60"):
        headers = {"x-amz-copy-source": f"/{bucket}/source", "x-amz-copy-source-range": asked}
        answer = raw.request("PUT", bucket, "k", {"partNumber": "1", "uploadId": upload.id}, headers=headers)
        assert (answer.status, answer.code) in ((400, "InvalidArgument"), (416, "InvalidRange")), str(answer)


def test_an_overwritten_source_does_not_change_the_part(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"before")
    upload = Uploading(s3, bucket)
    source = {"Bucket": bucket, "Key": "source"}
    upload.parts[1] = s3.upload_part_copy(**upload.full, PartNumber=1, CopySource=source)["CopyPartResult"]["ETag"]
    s3.put_object(Bucket=bucket, Key="source", Body=b"after")
    upload.complete()
    assert body(s3, bucket, "k") == b"before"


def test_the_declared_size_of_the_object_is_checked(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    upload.put(1, b"12345")
    with fails("InvalidRequest", 400):
        upload.complete(MpuObjectSize=6)
    upload.complete(MpuObjectSize=5)


def test_uploads_of_one_key_do_not_meet(s3: Any, bucket: str) -> None:
    first, second = Uploading(s3, bucket), Uploading(s3, bucket)
    assert first.id != second.id
    first.put(1, b"first")
    second.put(1, b"second")
    second.complete()
    first.complete()
    assert body(s3, bucket, "k") == b"first"


def test_parts_sent_at_once(s3: Any, bucket: str) -> None:
    pieces = {n: os.urandom(SMALLEST) for n in range(1, 5)}
    upload = Uploading(s3, bucket)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda item: upload.put(*item), pieces.items()))
    upload.complete()
    assert body(s3, bucket, "k") == b"".join(pieces.values())


def test_an_object_of_many_parts_is_deleted_whole(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    upload.put(1, b"x" * SMALLEST)
    upload.put(2, b"y")
    upload.complete()
    s3.delete_object(Bucket=bucket, Key="k")
    assert missing(s3, bucket, "k")
    s3.delete_bucket(Bucket=bucket)
