"""Object lock: what can be set, and that nothing gets past it. Holds for the fake and for a real node."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.s3.conftest import Client

SOON = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
LATER = (datetime.now(UTC) + timedelta(days=9)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
PAST = "2001-01-01T00:00:00Z"
BYPASS = {"x-amz-bypass-governance-retention": "true"}
LOCK = {"object-lock": ""}


@pytest.fixture
def locked(client: Client) -> str:
    assert client("PUT", "/box", headers={"x-amz-bucket-object-lock-enabled": "true"}).status == 200
    return "/box"


def configuration(rule: str = "") -> bytes:
    inner = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
    if rule:
        inner += f"<Rule><DefaultRetention>{rule}</DefaultRetention></Rule>"
    return f"<ObjectLockConfiguration>{inner}</ObjectLockConfiguration>".encode()


def retention(mode: str, until: str) -> bytes:
    return f"<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>".encode()


def put(client: Client, path: str = "/box/a", data: bytes = b"1", **headers: str) -> str:
    named = {f"x-amz-object-lock-{name.replace('_', '-')}": value for name, value in headers.items()}
    named["Content-MD5"] = base64.b64encode(hashlib.md5(data).digest()).decode()
    answer = client("PUT", path, data, headers=named)
    assert answer.status == 200, answer.body
    return answer.headers["x-amz-version-id"]


def remove(client: Client, version: str, bypass: bool = False) -> tuple[int, str | None]:
    answer = client("DELETE", "/box/a", query={"versionId": version}, headers=BYPASS if bypass else {})
    return answer.status, answer.code


def test_configuration(client: Client, locked: str) -> None:
    for rule in ("<Mode>GOVERNANCE</Mode><Days>3</Days>", "<Mode>COMPLIANCE</Mode><Years>1</Years>"):
        assert client("PUT", "/box", configuration(rule), query=LOCK).status == 200
        assert rule.encode() in client("GET", "/box", query=LOCK).body
    assert client("PUT", "/box", configuration(), query=LOCK).status == 200
    assert b"Rule" not in client("GET", "/box", query=LOCK).body


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (configuration("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"), "MalformedXML"),
        (configuration("<Mode>GOVERNANCE</Mode>"), "MalformedXML"),
        (configuration("<Days>1</Days>"), "MalformedXML"),
        (configuration("<Mode>governance</Mode><Days>1</Days>"), "MalformedXML"),
        (configuration("<Mode>GOVERNANCE</Mode><Days>one</Days>"), "MalformedXML"),
        (configuration("<Mode>GOVERNANCE</Mode><Days>0</Days>"), "InvalidArgument"),
        (configuration("<Mode>GOVERNANCE</Mode><Years>-1</Years>"), "InvalidArgument"),
        (configuration("<Mode>GOVERNANCE</Mode><Days>36501</Days>"), "InvalidArgument"),
        (configuration("<Mode>GOVERNANCE</Mode><Years>101</Years>"), "InvalidArgument"),
        (configuration().replace(b"Enabled</", b"Disabled</"), "MalformedXML"),
        (b"<ObjectLockConfiguration/>", "MalformedXML"),
        (
            b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule/></ObjectLockConfiguration>",
            "MalformedXML",
        ),
        (b"", "MalformedXML"),
    ],
)
def test_bad_configurations_change_nothing(client: Client, locked: str, document: bytes, code: str) -> None:
    before = client("GET", "/box", query=LOCK).body
    refused = client("PUT", "/box", document, query=LOCK)
    assert (refused.status, refused.code) == (400, code)
    assert client("GET", "/box", query=LOCK).body == before


def test_a_bucket_gets_locks_later_when_it_has_versioning(client: Client, bucket: str) -> None:
    refused = client("PUT", "/box", configuration(), query=LOCK)
    assert (refused.status, refused.code) == (409, "InvalidBucketState")
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    client("PUT", "/box", enabled, query={"versioning": ""})
    assert client("PUT", "/box", configuration(), query=LOCK).status == 200
    put(client, legal_hold="ON")


def test_a_bucket_without_locks(client: Client, bucket: str) -> None:
    client("PUT", "/box/a", b"1")
    digest = {"Content-MD5": base64.b64encode(hashlib.md5(b"2").digest()).decode()}
    lock = {"x-amz-object-lock-legal-hold": "ON"}
    for answer in (
        client("PUT", "/box/a", b"2", headers={**digest, **lock}),
        client("PUT", "/box/b", headers={"x-amz-copy-source": "/box/a", **lock}),
        client("POST", "/box/b", query={"uploads": ""}, headers=lock),
        client("GET", "/box/a", query={"retention": ""}),
        client("GET", "/box/a", query={"legal-hold": ""}),
        client("PUT", "/box/a", retention("GOVERNANCE", SOON), query={"retention": ""}),
        client("PUT", "/box/a", b"<LegalHold><Status>ON</Status></LegalHold>", query={"legal-hold": ""}),
    ):
        assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert client("GET", "/box/a").body == b"1"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"mode": "GOVERNANCE"}, "InvalidArgument"),
        ({"retain-until-date": SOON}, "InvalidArgument"),
        ({"mode": "SOFT", "retain-until-date": SOON}, "InvalidArgument"),
        ({"mode": "GOVERNANCE", "retain-until-date": PAST}, "InvalidArgument"),
        ({"mode": "GOVERNANCE", "retain-until-date": "tomorrow"}, "InvalidArgument"),
        ({"legal-hold": "MAYBE"}, "InvalidArgument"),
    ],
)
def test_bad_headers_store_nothing(client: Client, locked: str, headers: dict[str, str], code: str) -> None:
    named = {f"x-amz-object-lock-{name}": value for name, value in headers.items()}
    refused = client("PUT", "/box/a", b"1", headers=named)
    assert (refused.status, refused.code) == (400, code)
    assert client("GET", "/box/a").code == "NoSuchKey"


def test_a_locked_put_needs_a_digest(client: Client, locked: str) -> None:
    headers = {"x-amz-object-lock-legal-hold": "ON"}
    assert client("PUT", "/box/a", b"1", headers=headers).code == "InvalidRequest"


def test_governance(client: Client, locked: str) -> None:
    version = put(client, mode="GOVERNANCE", retain_until_date=SOON)
    head = client("HEAD", "/box/a").headers
    assert head["x-amz-object-lock-mode"] == "GOVERNANCE"
    assert head["x-amz-object-lock-retain-until-date"] == SOON
    assert remove(client, version) == (403, "AccessDenied")
    query = {"retention": "", "versionId": version}
    assert client("PUT", "/box/a", retention("GOVERNANCE", LATER), query=query).status == 200
    assert client("GET", "/box/a", query=query).text("RetainUntilDate") == LATER
    for weaker in (retention("GOVERNANCE", SOON), retention("COMPLIANCE", LATER), b"<Retention/>"):
        assert client("PUT", "/box/a", weaker, query=query).code == "AccessDenied"
    assert client("PUT", "/box/a", retention("GOVERNANCE", SOON), query=query, headers=BYPASS).status == 200
    assert client("DELETE", "/box/a").headers["x-amz-delete-marker"] == "true"  # hides it, removes nothing
    assert client("GET", "/box/a", query={"versionId": version}).body == b"1"
    assert remove(client, version, bypass=True) == (204, None)


def test_compliance(client: Client, locked: str) -> None:
    version = put(client, mode="COMPLIANCE", retain_until_date=SOON)
    query = {"retention": "", "versionId": version}
    assert remove(client, version) == remove(client, version, bypass=True) == (403, "AccessDenied")
    for weaker in (retention("COMPLIANCE", SOON.replace("Z", "Z")[:-5] + "Z"), retention("COMPLIANCE", LATER)):
        assert client("PUT", "/box/a", weaker, query=query).status == 200
    for weaker in (retention("COMPLIANCE", SOON), retention("GOVERNANCE", LATER), b"<Retention/>"):
        assert client("PUT", "/box/a", weaker, query=query, headers=BYPASS).code == "AccessDenied"
    assert client("GET", "/box/a", query=query).text("RetainUntilDate") == LATER


def test_legal_hold(client: Client, locked: str) -> None:
    version = put(client)
    query = {"legal-hold": "", "versionId": version}
    assert client("GET", "/box/a", query=query).code == "NoSuchObjectLockConfiguration"
    for status, expected in (("ON", (403, "AccessDenied")), ("OFF", (204, None))):
        document = f"<LegalHold><Status>{status}</Status></LegalHold>".encode()
        assert client("PUT", "/box/a", document, query=query).status == 200
        assert client("GET", "/box/a", query=query).text("Status") == status
        assert client("HEAD", "/box/a").headers["x-amz-object-lock-legal-hold"] == status
        assert remove(client, version, bypass=status == "ON") == expected


@pytest.mark.parametrize(
    ("subresource", "document", "code"),
    [
        ("legal-hold", b"<LegalHold><Status>MAYBE</Status></LegalHold>", "MalformedXML"),
        ("legal-hold", b"<LegalHold/>", "MalformedXML"),
        ("retention", retention("governance", SOON), "MalformedXML"),
        ("retention", b"<Retention><Mode>GOVERNANCE</Mode></Retention>", "MalformedXML"),
        ("retention", retention("GOVERNANCE", PAST), "InvalidArgument"),
        ("retention", retention("GOVERNANCE", "someday"), "InvalidArgument"),
        ("retention", b"", "MalformedXML"),
    ],
)
def test_bad_documents_change_nothing(
    client: Client, locked: str, subresource: str, document: bytes, code: str
) -> None:
    put(client)
    assert client("PUT", "/box/a", document, query={subresource: ""}).code == code
    assert client("GET", "/box/a", query={subresource: ""}).code == "NoSuchObjectLockConfiguration"


def test_default_retention(client: Client, locked: str) -> None:
    client("PUT", "/box", configuration("<Mode>GOVERNANCE</Mode><Days>3</Days>"), query=LOCK)
    version = put(client)
    assert client("HEAD", "/box/a").headers["x-amz-object-lock-mode"] == "GOVERNANCE"
    assert remove(client, version) == (403, "AccessDenied")
    put(client, "/box/own", mode="COMPLIANCE", retain_until_date=SOON)
    assert client("HEAD", "/box/own").headers["x-amz-object-lock-mode"] == "COMPLIANCE"
    client("PUT", "/box/copy", headers={"x-amz-copy-source": "/box/own"})
    assert client("HEAD", "/box/copy").headers["x-amz-object-lock-mode"] == "GOVERNANCE"
    upload = client("POST", "/box/m", query={"uploads": ""}).text("UploadId") or ""
    etag = client("PUT", "/box/m", b"x", query={"uploadId": upload, "partNumber": "1"}).headers["etag"]
    parts = (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    )
    client("POST", "/box/m", parts.encode(), query={"uploadId": upload})
    assert client("HEAD", "/box/m").headers["x-amz-object-lock-mode"] == "GOVERNANCE"


def test_a_lock_of_an_upload_is_the_objects(client: Client, locked: str) -> None:
    upload = client("POST", "/box/a", query={"uploads": ""}, headers={"x-amz-object-lock-legal-hold": "ON"})
    named = upload.text("UploadId") or ""
    etag = client("PUT", "/box/a", b"x", query={"uploadId": named, "partNumber": "1"}).headers["etag"]
    parts = (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    )
    done = client("POST", "/box/a", parts.encode(), query={"uploadId": named})
    assert remove(client, done.headers["x-amz-version-id"], bypass=True) == (403, "AccessDenied")


def test_many_deletions(client: Client, locked: str) -> None:
    held, free = put(client, legal_hold="ON"), put(client)
    objects = "".join(f"<Object><Key>a</Key><VersionId>{one}</VersionId></Object>" for one in (held, free))
    body = f"<Delete>{objects}</Delete>".encode()
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    answer = client("POST", "/box", body, query={"delete": ""}, headers={"Content-MD5": digest})
    assert answer.texts("Deleted/VersionId") == [free]
    assert (answer.texts("Error/VersionId"), answer.texts("Error/Code")) == ([held], ["AccessDenied"])
