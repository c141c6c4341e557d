"""Multipart uploads, from the first request to the object."""

from __future__ import annotations

import hashlib

import pytest

from ironbucket import checksums
from tests.unit.s3.conftest import Answer, Client

BIG = b"0123456789abcdef" * (5 << 16)  # 5 MiB, the least a part that is not the last may have


def create(client: Client, key: str = "/box/big", **headers: str) -> str:
    answer = client("POST", key, query={"uploads": ""}, headers={n.replace("_", "-"): v for n, v in headers.items()})
    assert answer.status == 200, answer.body
    return answer.text("UploadId") or ""


def upload(client: Client, upload_id: str, number: int, data: bytes, **headers: str) -> Answer:
    query = {"partNumber": str(number), "uploadId": upload_id}
    return client("PUT", "/box/big", data, query=query, headers={n.replace("_", "-"): v for n, v in headers.items()})


def complete(
    client: Client, upload_id: str, parts: list[tuple[object, str]], inner: str = "", **headers: str
) -> Answer:
    listed = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag>{inner}</Part>" for n, etag in parts)
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return client("POST", "/box/big", body, query={"uploadId": upload_id}, headers=sent)


def test_parts_become_an_object(client: Client, bucket: str) -> None:
    upload_id = create(client, Content_Type="text/plain", x_amz_meta_a="b", x_amz_storage_class="STANDARD_IA")
    etags = [upload(client, upload_id, n, data).headers["etag"] for n, data in ((2, BIG), (7, b"end"))]
    listed = client("GET", "/box/big", query={"uploadId": upload_id})
    assert listed.texts("Part/PartNumber") == ["2", "7"]
    assert listed.texts("Part/ETag") == etags
    assert listed.text("StorageClass") == "STANDARD_IA"
    assert len(listed.text("Initiator/ID") or "") == len(listed.text("Owner/ID") or "") == 64
    answer = complete(client, upload_id, [(2, etags[0]), (7, etags[1])])
    digests = b"".join(hashlib.md5(data).digest() for data in (BIG, b"end"))
    assert answer.text("ETag") == f'"{hashlib.md5(digests).hexdigest()}-2"'
    assert (answer.text("Bucket"), answer.text("Key")) == ("box", "big")
    assert answer.text("Location") == "http://127.0.0.1:9000/box/big"
    got = client("GET", "/box/big")
    assert got.body == BIG + b"end"
    assert (got.headers["content-type"], got.headers["x-amz-meta-a"]) == ("text/plain", "b")
    assert got.headers["etag"] == answer.text("ETag")
    repeated = complete(client, upload_id, [(2, etags[0]), (7, etags[1])])
    assert (repeated.status, repeated.text("ETag")) == (200, answer.text("ETag"))


def test_reading_by_part(client: Client, bucket: str) -> None:
    upload_id = create(client, x_amz_checksum_algorithm="CRC32")
    etags = [upload(client, upload_id, n, data).headers["etag"] for n, data in ((2, BIG), (7, b"end"))]
    done = complete(client, upload_id, [(2, etags[0]), (7, etags[1])])
    assert (done.text("ChecksumCRC32") or "").endswith("-2")
    assert done.text("ChecksumType") == "COMPOSITE"
    mode = {"x-amz-checksum-mode": "ENABLED"}
    part = client("GET", "/box/big", query={"partNumber": "2"}, headers=mode)
    assert (part.status, part.body, part.headers["x-amz-mp-parts-count"]) == (206, b"end", "2")
    assert part.headers["content-range"] == f"bytes {len(BIG)}-{len(BIG) + 2}/{len(BIG) + 3}"
    assert part.headers["x-amz-checksum-crc32"] == checksum("crc32", b"end")
    assert client("HEAD", "/box/big", query={"partNumber": "1"}).headers["content-length"] == str(len(BIG))
    assert client("GET", "/box/big", query={"partNumber": "3"}).code == "InvalidPartNumber"
    assert client("HEAD", "/box/big", headers=mode).headers["x-amz-checksum-type"] == "COMPOSITE"
    across = client("GET", "/box/big", headers={"Range": f"bytes={len(BIG) - 2}-{len(BIG)}", **mode})
    assert across.body == b"efe"
    assert "x-amz-checksum-crc32" not in across.headers


def checksum(algorithm: str, data: bytes) -> str:
    hasher = checksums.hasher(algorithm)
    hasher.update(data)
    return checksums.encode(hasher.digest())


def test_attributes_list_the_parts(client: Client, bucket: str) -> None:
    upload_id = create(client, x_amz_checksum_algorithm="SHA256")
    etags = [upload(client, upload_id, n, data).headers["etag"] for n, data in ((1, BIG), (2, b"end"))]
    complete(client, upload_id, [(1, etags[0]), (2, etags[1])])
    wanted = {"x-amz-object-attributes": "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"}
    answer = client("GET", "/box/big", query={"attributes": ""}, headers=wanted)
    assert answer.text("ETag") == client("HEAD", "/box/big").headers["etag"].strip('"')
    assert answer.text("ObjectSize") == str(len(BIG) + 3)
    assert (answer.text("ObjectParts/PartsCount"), answer.text("ObjectParts/IsTruncated")) == ("2", "false")
    assert answer.texts("ObjectParts/Part/Size") == [str(len(BIG)), "3"]
    assert answer.texts("ObjectParts/Part/ChecksumSHA256")[1] == checksum("sha256", b"end")
    assert answer.text("Checksum/ChecksumType") == "COMPOSITE"
    page = client("GET", "/box/big", query={"attributes": ""}, headers={**wanted, "x-amz-max-parts": "1"})
    assert page.texts("ObjectParts/Part/PartNumber") == ["1"]
    assert (page.text("ObjectParts/IsTruncated"), page.text("ObjectParts/NextPartNumberMarker")) == ("true", "1")
    rest = client("GET", "/box/big", query={"attributes": ""}, headers={**wanted, "x-amz-part-number-marker": "1"})
    assert rest.texts("ObjectParts/Part/PartNumber") == ["2"]


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("CRC32", "FULL_OBJECT"), ("CRC32C", "FULL_OBJECT"), ("CRC64NVME", ""), ("SHA1", ""), ("CRC32", "COMPOSITE")],
)
def test_checksums_of_the_whole(client: Client, bucket: str, algorithm: str, kind: str) -> None:
    headers = {"x_amz_checksum_algorithm": algorithm, **({"x_amz_checksum_type": kind} if kind else {})}
    upload_id = create(client, **headers)
    name = f"x-amz-checksum-{algorithm.lower()}"
    part = upload(client, upload_id, 1, b"hello", **{name: checksum(algorithm.lower(), b"hello")})
    assert part.headers[name] == checksum(algorithm.lower(), b"hello")
    inner = f"<Checksum{algorithm}>{part.headers[name]}</Checksum{algorithm}>"
    parts: list[tuple[object, str]] = [(1, part.headers["etag"])]
    if algorithm == "CRC64NVME":  # of the object, not of the request's document
        wrong = complete(client, upload_id, parts, inner, **{name: checksum("crc64nvme", b"other")})
        assert (wrong.status, wrong.code) == (400, "BadDigest")
        answer = complete(client, upload_id, parts, inner, **{name: part.headers[name]})
    else:
        answer = complete(client, upload_id, parts, inner)
    value = answer.text(f"Checksum{algorithm}") or ""
    full = kind == "FULL_OBJECT" or algorithm == "CRC64NVME"
    assert answer.text("ChecksumType") == ("FULL_OBJECT" if full else "COMPOSITE")
    assert (value == part.headers[name]) if full else value.endswith("-1")


def test_the_answer_to_create_names_the_algorithm(client: Client, bucket: str) -> None:
    answer = client("POST", "/box/big", query={"uploads": ""}, headers={"x-amz-checksum-algorithm": "crc32c"})
    assert answer.headers["x-amz-checksum-algorithm"] == "CRC32C"
    assert answer.headers["x-amz-checksum-type"] == "COMPOSITE"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-algorithm": "MD5"},
        {"x-amz-checksum-type": "FULL_OBJECT"},
        {"x-amz-checksum-algorithm": "SHA1", "x-amz-checksum-type": "FULL_OBJECT"},
        {"x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "COMPOSITE"},
        {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "PARTIAL"},
    ],
)
def test_checksum_types_that_do_not_fit(client: Client, bucket: str, headers: dict[str, str]) -> None:
    answer = client("POST", "/box/big", query={"uploads": ""}, headers=headers)
    assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_a_part_of_another_algorithm(client: Client, bucket: str) -> None:
    upload_id = create(client, x_amz_checksum_algorithm="SHA1")
    answer = upload(client, upload_id, 1, b"hello", x_amz_checksum_crc32="NhCmhg==")
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert "expected checksum Type: sha1, actual checksum Type: crc32" in (answer.text("Message") or "")


@pytest.mark.parametrize("number", ["0", "10001", "x", "-1", ""])
def test_part_numbers(client: Client, bucket: str, number: str) -> None:
    query = {"partNumber": number, "uploadId": create(client)}
    answer = client("PUT", "/box/big", b"1", query=query)
    assert (answer.status, answer.code, answer.text("ArgumentName")) == (400, "InvalidArgument", "partNumber")


def test_a_part_without_its_upload_does_not_become_the_object(client: Client, bucket: str) -> None:
    answer = client("PUT", "/box/big", b"1", query={"partNumber": "1"})
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert upload(client, "", 1, b"1").code == "NoSuchUpload"
    assert upload(client, "../../etc", 1, b"1").code == "NoSuchUpload"
    assert client("GET", "/box/big").code == "NoSuchKey"


def test_completions_that_fail_leave_the_upload(client: Client, bucket: str) -> None:
    upload_id = create(client)
    small = upload(client, upload_id, 1, b"small").headers["etag"]
    last = upload(client, upload_id, 2, b"last").headers["etag"]
    assert complete(client, upload_id, []).code == "MalformedXML"
    assert client("POST", "/box/big", query={"uploadId": upload_id}).code == "MalformedXML"
    assert complete(client, upload_id, [("x", small)]).code == "MalformedXML"
    assert complete(client, upload_id, [(2, last), (1, small)]).code == "InvalidPartOrder"
    assert complete(client, upload_id, [(1, small), (1, small)]).code == "InvalidPartOrder"
    assert complete(client, upload_id, [(3, last)]).code == "InvalidPart"
    assert complete(client, upload_id, [(2, small)]).code == "InvalidPart"
    assert complete(client, upload_id, [(1, small), (2, last)]).code == "EntityTooSmall"
    assert complete(client, upload_id, [(2, last)], x_amz_mp_object_size="5").code == "InvalidRequest"
    assert complete(client, upload_id, [(2, last)], x_amz_mp_object_size="x").code == "InvalidArgument"
    assert complete(client, upload_id, [(2, last)], If_Match='"x"').code == "NoSuchKey"
    assert complete(client, upload_id, [(2, last)], x_amz_mp_object_size="4", If_None_Match="*").status == 200
    assert client("GET", "/box/big").body == b"last"


def test_conditions_of_a_completion(client: Client, bucket: str) -> None:
    client("PUT", "/box/big", b"there")
    upload_id = create(client)
    etag = upload(client, upload_id, 1, b"new").headers["etag"]
    assert complete(client, upload_id, [(1, etag)], If_None_Match="*").code == "PreconditionFailed"
    assert complete(client, upload_id, [(1, etag)], If_Match="*").status == 200


def test_an_upload_that_is_not_there(client: Client, bucket: str) -> None:
    upload_id = create(client)
    assert client("DELETE", "/box/big", query={"uploadId": upload_id}).status == 204
    for answer in (
        client("DELETE", "/box/big", query={"uploadId": upload_id}),
        client("GET", "/box/big", query={"uploadId": upload_id}),
        upload(client, upload_id, 1, b"1"),
        complete(client, upload_id, [(1, "x")]),
        client("GET", "/box/other", query={"uploadId": upload_id}),
    ):
        assert (answer.status, answer.code) == (404, "NoSuchUpload")


def test_parts_copied_from_objects(client: Client, bucket: str) -> None:
    client("PUT", "/box/source", b"0123456789")
    upload_id = create(client)
    query = {"partNumber": "1", "uploadId": upload_id}

    def copy(part_range: str | None, **more: str) -> Answer:
        headers = {"x-amz-copy-source": "/box/source", **more}
        if part_range is not None:
            headers["x-amz-copy-source-range"] = part_range
        return client("PUT", "/box/big", query=query, headers=headers)

    assert copy("bytes=2-4").text("ETag") == f'"{hashlib.md5(b"234").hexdigest()}"'
    for bad in ("bytes=5-", "bytes=-3", "5-6", "bytes=6-5", "bytes=0-10", "bytes=0-1,3-4", ""):
        assert copy(bad).code == "InvalidArgument"
    assert copy(None, **{"x-amz-copy-source-if-match": '"x"'}).code == "PreconditionFailed"
    whole = copy(None)
    assert complete(client, upload_id, [(1, whole.text("ETag") or "")]).status == 200
    assert client("GET", "/box/big").body == b"0123456789"


def test_listing_parts_by_page(client: Client, bucket: str) -> None:
    upload_id = create(client, x_amz_checksum_algorithm="CRC32")
    for number in (1, 5, 9):
        upload(client, upload_id, number, b"x")
    first = client("GET", "/box/big", query={"uploadId": upload_id, "max-parts": "2"})
    assert (first.text("IsTruncated"), first.text("NextPartNumberMarker")) == ("true", "5")
    assert (first.text("ChecksumAlgorithm"), first.text("ChecksumType")) == ("CRC32", "COMPOSITE")
    assert first.texts("Part/ChecksumCRC32") == [checksum("crc32", b"x")] * 2
    rest = client("GET", "/box/big", query={"uploadId": upload_id, "part-number-marker": "5"})
    assert (rest.texts("Part/PartNumber"), rest.text("IsTruncated")) == (["9"], "false")
    assert client("GET", "/box/big", query={"uploadId": upload_id, "max-parts": "x"}).code == "InvalidArgument"
    assert client("GET", "/box/big", query={"uploadId": upload_id, "max-parts": "0"}).texts("Part") == []


def test_listing_uploads(client: Client, bucket: str) -> None:
    ids = {key: create(client, f"/box/{key}") for key in ("a", "b/1", "b/2", "c")}
    again = create(client, "/box/c")
    whole = client("GET", "/box", query={"uploads": ""})
    assert whole.texts("Upload/Key") == ["a", "b/1", "b/2", "c", "c"]
    assert sorted(whole.texts("Upload/UploadId")) == sorted([*ids.values(), again])
    assert len(whole.text("Upload/Owner/ID") or "") == 64
    assert whole.text("Upload/StorageClass") == "STANDARD"
    rolled = client("GET", "/box", query={"uploads": "", "delimiter": "/"})
    assert rolled.texts("CommonPrefixes/Prefix") == ["b/"]
    assert rolled.texts("Upload/Key") == ["a", "c", "c"]
    assert client("GET", "/box", query={"uploads": "", "prefix": "b"}).texts("Upload/Key") == ["b/1", "b/2"]
    seen: list[str] = []
    query = {"uploads": "", "max-uploads": "1"}
    while True:
        page = client("GET", "/box", query=query)
        seen += page.texts("Upload/UploadId")
        if page.text("IsTruncated") == "false":
            break
        query["key-marker"] = page.text("NextKeyMarker") or ""
        query["upload-id-marker"] = page.text("NextUploadIdMarker") or ""
    assert sorted(seen) == sorted([*ids.values(), again])
    ignored = client("GET", "/box", query={"uploads": "", "upload-id-marker": "zzz"})
    assert len(ignored.texts("Upload/Key")) == 5
    assert client("GET", "/box", query={"uploads": "", "encoding-type": "url"}).texts("Upload/Key")[1] == "b/1"
    assert client("GET", "/nowhere", query={"uploads": ""}).code == "NoSuchBucket"


def test_uploads_keep_no_bucket_alive_but_need_one(client: Client) -> None:
    assert client("POST", "/nowhere/a", query={"uploads": ""}).code == "NoSuchBucket"
