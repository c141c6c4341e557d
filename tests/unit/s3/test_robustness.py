"""Whatever a client that knows its secret sends, the answer is S3's, and no failure of ours."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ironbucket.s3 import routes
from tests.unit.s3.conftest import Client, client_of
from tests.unit.s3.fake_node import FakeNode

#: values that look like something somewhere
VALUE = st.one_of(
    st.sampled_from(
        [
            *("", "0", "1", "-1", "99999999999999999999", "x", "true", "url", "null", "bytes=0-", "bytes=5-1"),
            *("/box/a", "box/a?versionId=null", "REPLACE", "COPY", "CRC32", "COMPOSITE", "*", '"x"', "a=b&a=c"),
            *("Sat, 01 Jan 2000 00:00:00 GMT", "Sat, 01 Jan 99999 00:00:00 GMT", "ENABLED", "ETag,Checksum"),
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).map(str.strip),
)
PARAMETERS = (
    *("prefix", "delimiter", "marker", "max-keys", "encoding-type", "continuation-token", "start-after", "fetch-owner"),
    *("versionId", "partNumber", "response-expires", "response-content-type", "key-marker", "version-id-marker"),
    *("upload-id-marker", "max-uploads", "part-number-marker", "max-parts", "max-buckets", "bucket-region", "id"),
)
HEADERS = (
    *("range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "content-md5"),
    *("x-amz-copy-source", "x-amz-copy-source-range", "x-amz-metadata-directive", "x-amz-tagging-directive"),
    *("x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-crc32", "x-amz-checksum-mode"),
    *("x-amz-sdk-checksum-algorithm", "x-amz-object-attributes", "x-amz-max-parts", "x-amz-part-number-marker"),
    *("x-amz-storage-class", "x-amz-tagging", "x-amz-acl", "x-amz-meta-a", "x-amz-mp-object-size", "expires"),
    *("x-amz-if-match-size", "x-amz-if-match-last-modified-time", "x-amz-bucket-object-lock-enabled"),
    *("x-amz-copy-source-if-match", "x-amz-copy-source-if-modified-since", "content-encoding", "x-amz-trailer"),
)
TAG = st.sampled_from(
    [
        *("Delete", "Object", "Key", "Quiet", "ETag", "Size", "LastModifiedTime", "VersionId", "Tagging", "TagSet"),
        *("Tag", "Value", "CompleteMultipartUpload", "Part", "PartNumber", "AccessControlPolicy", "Grant", "Grantee"),
        *("AccessControlList", "CreateBucketConfiguration", "LocationConstraint", "ChecksumCRC32"),
    ]
)
DOCUMENT = st.recursive(
    st.sampled_from(["", "a", "1", "true", "-1", "&amp;", "&#x1;", "<", "☃"]),
    lambda inner: st.tuples(TAG, st.lists(inner, max_size=3)).map(lambda t: f"<{t[0]}>{''.join(t[1])}</{t[0]}>"),
    max_leaves=8,
)


def a_node() -> tuple[Client, str]:
    client = client_of(FakeNode())
    client("PUT", "/box")
    client("PUT", "/box/a", b"hello")
    upload_id = client("POST", "/box/a", query={"uploads": ""}).text("UploadId") or ""
    client("PUT", "/box/a", b"part", query={"uploadId": upload_id, "partNumber": "1"})
    return client, upload_id


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(routes.ALL),
    st.dictionaries(st.sampled_from(PARAMETERS), VALUE, max_size=3),
    st.dictionaries(st.sampled_from(HEADERS), VALUE, max_size=3),
    DOCUMENT,
)
def test_no_request_is_a_failure_of_ours(
    operation: routes.Operation, query: dict[str, str], headers: dict[str, str], document: str
) -> None:
    client, upload_id = a_node()
    place = {routes.SERVICE: "/", routes.BUCKET: "/box", routes.KEY: "/box/a"}[operation.place]
    for name in operation.subresource.split("&"):
        if name:
            query = {**query, name: upload_id if name == "uploadId" else "2" if name == "list-type" else ""}
    answer = client(operation.method, place, document.encode(), query=query, headers=headers)
    assert answer.status < 500 or answer.code == "NotImplemented" or operation.method == "HEAD", answer.body
