"""Versioning: its configuration, and what each operation says of versions. Holds for the fake and for a real node."""

from __future__ import annotations

import pytest

from tests.unit.s3.conftest import Client

QUERY = {"versioning": ""}


def configuration(status: str) -> bytes:
    return f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>".encode()


def switch(client: Client, status: str, bucket: str = "/box") -> None:
    assert client("PUT", bucket, configuration(status), query=QUERY).status == 200


def test_on_and_suspended(client: Client, bucket: str) -> None:
    assert client("GET", "/box", query=QUERY).text("Status") is None
    for status in ("Enabled", "Suspended", "Suspended", "Enabled"):
        switch(client, status)
        assert client("GET", "/box", query=QUERY).text("Status") == status


@pytest.mark.parametrize(
    ("document", "status", "code"),
    [
        (configuration("Off"), 400, "MalformedXML"),
        (configuration("enabled"), 400, "MalformedXML"),
        (b"<VersioningConfiguration/>", 400, "IllegalVersioningConfigurationException"),
        (b"<Versioning/>", 400, "MalformedXML"),
        (b"<VersioningConfiguration>", 400, "MalformedXML"),
        (b"", 400, "MalformedXML"),
        (b"<!DOCTYPE x><VersioningConfiguration/>", 400, "MalformedXML"),
        (
            b"<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>",
            501,
            "NotImplemented",
        ),
        (b"<VersioningConfiguration>" + b" " * 70_000 + b"</VersioningConfiguration>", 400, "MaxMessageLengthExceeded"),
    ],
)
def test_bad_configurations_change_nothing(
    client: Client, bucket: str, document: bytes, status: int, code: str
) -> None:
    refused = client("PUT", "/box", document, query=QUERY)
    assert (refused.status, refused.code) == (status, code)
    assert client("GET", "/box", query=QUERY).text("Status") is None
    assert client("PUT", "/nowhere", configuration("Enabled"), query=QUERY).code == "NoSuchBucket"


def test_a_bucket_with_locks_cannot_be_suspended(client: Client) -> None:
    client("PUT", "/box", headers={"x-amz-bucket-object-lock-enabled": "true"})
    refused = client("PUT", "/box", configuration("Suspended"), query=QUERY)
    assert (refused.status, refused.code) == (409, "InvalidBucketState")
    switch(client, "Enabled")
    assert client("GET", "/box", query=QUERY).text("Status") == "Enabled"


def test_who_names_null_versions(client: Client, bucket: str) -> None:
    """Only a bucket that has versioning does, on or suspended."""
    assert "x-amz-version-id" not in client("PUT", "/box/a", b"1").headers
    assert "x-amz-version-id" not in client("GET", "/box/a").headers
    switch(client, "Enabled")
    for method in ("GET", "HEAD"):
        assert client(method, "/box/a").headers["x-amz-version-id"] == "null"
        assert client(method, "/box/a", query={"versionId": "null"}).headers["x-amz-version-id"] == "null"
    copied = client("PUT", "/box/b", headers={"x-amz-copy-source": "/box/a"})
    assert copied.headers["x-amz-copy-source-version-id"] == "null"
    assert copied.headers["x-amz-version-id"] not in ("", "null")
    switch(client, "Suspended")
    for answer in (
        client("PUT", "/box/a", b"2"),
        client("PUT", "/box/c", headers={"x-amz-copy-source": "/box/b"}),
        client("GET", "/box/a", query={"tagging": ""}),
    ):
        assert answer.headers["x-amz-version-id"] == "null"
    assert client("GET", "/box/b").headers["x-amz-version-id"] == copied.headers["x-amz-version-id"]


def test_a_null_version_beside_others(client: Client, bucket: str) -> None:
    client("PUT", "/box/a", b"null 1")
    switch(client, "Enabled")
    named = client("PUT", "/box/a", b"named").headers["x-amz-version-id"]
    switch(client, "Suspended")
    client("PUT", "/box/a", b"null 2")
    listed = client("GET", "/box", query={"versions": ""})
    assert listed.texts("Version/VersionId") == ["null", named]
    assert listed.texts("Version/IsLatest") == ["true", "false"]
    assert client("GET", "/box/a").body == b"null 2"
    assert client("GET", "/box/a", query={"versionId": named}).body == b"named"
    marked = client("DELETE", "/box/a")
    assert (marked.headers["x-amz-version-id"], marked.headers["x-amz-delete-marker"]) == ("null", "true")
    listed = client("GET", "/box", query={"versions": ""})
    assert (listed.texts("DeleteMarker/VersionId"), listed.texts("Version/VersionId")) == (["null"], [named])
    removed = client("DELETE", "/box/a", query={"versionId": "null"})
    assert (removed.headers["x-amz-version-id"], removed.headers["x-amz-delete-marker"]) == ("null", "true")
    assert client("GET", "/box/a").body == b"named"


def test_delete_markers(client: Client, bucket: str) -> None:
    switch(client, "Enabled")
    first = client("PUT", "/box/a", b"1").headers["x-amz-version-id"]
    deleted = client("DELETE", "/box/a")
    marker = deleted.headers["x-amz-version-id"]
    assert (deleted.status, deleted.headers["x-amz-delete-marker"]) == (204, "true")
    gone = client("GET", "/box/a")
    assert (gone.status, gone.code) == (404, "NoSuchKey")
    assert (gone.headers["x-amz-delete-marker"], gone.headers["x-amz-version-id"]) == ("true", marker)
    named = client("GET", "/box/a", query={"versionId": marker})
    assert (named.status, named.code) == (405, "MethodNotAllowed")
    assert named.headers["x-amz-delete-marker"] == "true"
    assert named.headers["last-modified"].endswith("GMT")
    head = client("HEAD", "/box/a", query={"versionId": marker})
    assert (head.status, head.headers["x-amz-version-id"]) == (405, marker)
    assert client("GET", "/box/a", query={"versionId": marker, "tagging": ""}).status == 405
    assert client("PUT", "/box/b", headers={"x-amz-copy-source": f"/box/a?versionId={marker}"}).code == "InvalidRequest"
    assert client("GET", "/box").texts("Contents/Key") == []
    assert client("DELETE", "/box").code == "BucketNotEmpty"
    undone = client("DELETE", "/box/a", query={"versionId": marker})
    assert (undone.headers["x-amz-version-id"], undone.headers["x-amz-delete-marker"]) == (marker, "true")
    assert client("GET", "/box/a").headers["x-amz-version-id"] == first
    removed = client("DELETE", "/box/a", query={"versionId": first})
    assert removed.headers["x-amz-version-id"] == first
    assert "x-amz-delete-marker" not in removed.headers
    assert client("DELETE", "/box").status == 204


def test_a_marker_for_what_was_never_there(client: Client, bucket: str) -> None:
    switch(client, "Enabled")
    assert client("DELETE", "/box/a").headers["x-amz-delete-marker"] == "true"
    assert len(client("GET", "/box", query={"versions": ""}).texts("DeleteMarker")) == 1


def test_conditions_meet_the_current_version(client: Client, bucket: str) -> None:
    switch(client, "Enabled")
    first = client("PUT", "/box/a", b"1")
    tag = first.headers["etag"]
    assert client("PUT", "/box/a", b"2", headers={"If-None-Match": "*"}).status == 412
    assert client("PUT", "/box/a", b"2", headers={"If-Match": tag}).status == 200
    assert client("PUT", "/box/a", b"3", headers={"If-Match": tag}).status == 412
    client("DELETE", "/box/a")
    assert client("PUT", "/box/a", b"4", headers={"If-Match": tag}).status == 404
    assert client("PUT", "/box/a", b"4", headers={"If-None-Match": "*"}).status == 200
    assert len(client("GET", "/box", query={"versions": ""}).texts("Version")) == 3


def test_multipart_makes_a_version(client: Client, bucket: str) -> None:
    switch(client, "Enabled")
    upload = client("POST", "/box/a", query={"uploads": ""}).text("UploadId") or ""
    etag = client("PUT", "/box/a", b"x", query={"uploadId": upload, "partNumber": "1"}).headers["etag"]
    parts = (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    )
    done = client("POST", "/box/a", parts.encode(), query={"uploadId": upload})
    assert client("GET", "/box/a").headers["x-amz-version-id"] == done.headers["x-amz-version-id"] != "null"


def test_tags_by_version(client: Client, bucket: str) -> None:
    switch(client, "Enabled")
    first = client("PUT", "/box/a", b"1", headers={"x-amz-tagging": "of=first"}).headers["x-amz-version-id"]
    client("PUT", "/box/a", b"2")
    query = {"tagging": "", "versionId": first}
    assert client("GET", "/box/a", query=query).texts("TagSet/Tag/Value") == ["first"]
    new = b"<Tagging><TagSet><Tag><Key>of</Key><Value>old</Value></Tag></TagSet></Tagging>"
    assert client("PUT", "/box/a", new, query=query).headers["x-amz-version-id"] == first
    assert client("GET", "/box/a", query={"tagging": ""}).texts("TagSet/Tag") == []
    source = {"x-amz-copy-source": f"/box/a?versionId={first}"}
    client("PUT", "/box/b", headers=source)
    assert client("GET", "/box/b", query={"tagging": ""}).texts("TagSet/Tag/Value") == ["old"]
    client("PUT", "/box/b", headers={**source, "x-amz-tagging-directive": "REPLACE", "x-amz-tagging": "of=b"})
    assert client("GET", "/box/b", query={"tagging": ""}).texts("TagSet/Tag/Value") == ["b"]
    assert client("DELETE", "/box/a", query=query).headers["x-amz-version-id"] == first
    assert client("GET", "/box/a", query=query).texts("TagSet/Tag") == []


def test_bucket_tags(client: Client, bucket: str) -> None:
    def tags(count: int) -> bytes:
        inner = "".join(f"<Tag><Key>k{n}</Key><Value>v</Value></Tag>" for n in range(count))
        return f"<Tagging><TagSet>{inner}</TagSet></Tagging>".encode()

    query = {"tagging": ""}
    assert client("PUT", "/box", tags(50), query=query).status == 204
    assert len(client("GET", "/box", query=query).texts("TagSet/Tag")) == 50
    assert client("PUT", "/box", tags(51), query=query).code == "InvalidTag"
    assert client("PUT", "/box", b"<Tagging/>", query=query).code == "MalformedXML"
    assert len(client("GET", "/box", query=query).texts("TagSet/Tag")) == 50
    assert client("DELETE", "/box", query=query).status == 204
    assert client("GET", "/box", query=query).code == "NoSuchTagSet"
    assert client("PUT", "/nowhere", tags(1), query=query).code == "NoSuchBucket"
