"""Lifecycle configurations: what is accepted comes back as it was, what is not changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket.s3 import bucket_lifecycle
from ironbucket.s3.xml import Writer, parse
from tests.unit.s3.conftest import Client

QUERY = {"lifecycle": ""}
EXPIRES = "<Expiration><Days>3</Days></Expiration>"
ALL = "<Filter><Prefix></Prefix></Filter>"


def document(*rules: str) -> bytes:
    inner = "".join(f"<Rule>{rule}</Rule>" for rule in rules)
    return f"<LifecycleConfiguration>{inner}</LifecycleConfiguration>".encode()


def rule(actions: str = EXPIRES, conditions: str = ALL, status: str = "Enabled", identity: str = "r") -> str:
    return f"<ID>{identity}</ID>{conditions}<Status>{status}</Status>{actions}"


@pytest.mark.parametrize(
    "accepted",
    [
        rule(),
        rule(status="Disabled"),
        rule(conditions="<Prefix>logs/</Prefix>"),
        rule(conditions="<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>"),
        rule(conditions="<Filter><ObjectSizeGreaterThan>0</ObjectSizeGreaterThan></Filter>"),
        rule(
            conditions="<Filter><And><Prefix>a</Prefix><Tag><Key>a</Key><Value>b</Value></Tag><Tag><Key>c</Key>"
            "<Value>d</Value></Tag><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>"
            "<ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>"
        ),
        rule("<Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration>"),
        rule("<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"),
        rule("<NoncurrentVersionExpiration><NoncurrentDays>5</NoncurrentDays></NoncurrentVersionExpiration>"),
        rule(
            EXPIRES + "<NoncurrentVersionExpiration><NoncurrentDays>5</NoncurrentDays><NewerNoncurrentVersions>3"
            "</NewerNoncurrentVersions></NoncurrentVersionExpiration><AbortIncompleteMultipartUpload>"
            "<DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
        ),
    ],
)
def test_what_is_set_comes_back(client: Client, bucket: str, accepted: str) -> None:
    assert client("PUT", "/box", document(accepted), query=QUERY).status == 200
    assert f"<Rule>{accepted}</Rule>".encode() in client("GET", "/box", query=QUERY).body
    assert client("DELETE", "/box", query=QUERY).status == 204
    assert client("GET", "/box", query=QUERY).code == "NoSuchLifecycleConfiguration"


def test_a_rule_without_an_id_gets_one(client: Client, bucket: str) -> None:
    anonymous = rule().replace("<ID>r</ID>", "")
    assert client("PUT", "/box", document(anonymous, anonymous), query=QUERY).status == 200
    assert len(set(client("GET", "/box", query=QUERY).texts("Rule/ID"))) == 2


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "MalformedXML"),
        (b"<LifecycleConfiguration/>", 400, "MalformedXML"),
        (b"<LifecycleConfiguration><Rules/></LifecycleConfiguration>", 400, "MalformedXML"),
        (document(*(rule(identity=f"r{n}") for n in range(1001))), 400, "MalformedXML"),
        (document(rule(), rule()), 400, "InvalidArgument"),
        (document(rule(identity="x" * 256)), 400, "InvalidArgument"),
        (document(rule(status="enabled")), 400, "MalformedXML"),
        (document(rule(conditions="")), 400, "MalformedXML"),
        (document(rule(conditions="<Prefix>a</Prefix><Filter/>")), 400, "MalformedXML"),
        (document(rule(conditions="<Filter><Prefix>a</Prefix><Prefix>b</Prefix></Filter>")), 400, "MalformedXML"),
        (document(rule(conditions="<Filter><And><Prefix>a</Prefix></And></Filter>")), 400, "MalformedXML"),
        (document(rule(conditions="<Filter><Color>a</Color></Filter>")), 400, "MalformedXML"),
        (document(rule("")), 400, "InvalidRequest"),
        (document(rule("<Expiration/>")), 400, "MalformedXML"),
        (document(rule("<Expiration><Days>0</Days></Expiration>")), 400, "InvalidArgument"),
        (document(rule("<Expiration><Days>-1</Days></Expiration>")), 400, "InvalidArgument"),
        (document(rule("<Expiration><Days>1.5</Days></Expiration>")), 400, "MalformedXML"),
        (document(rule("<Expiration><Days>9999999999</Days></Expiration>")), 400, "InvalidArgument"),
        (document(rule("<Expiration><Date>2030-01-01T01:00:00Z</Date></Expiration>")), 400, "InvalidArgument"),
        (document(rule("<Expiration><Date>20300101</Date></Expiration>")), 200, None),
        (document(rule("<Expiration><Date>next year</Date></Expiration>")), 400, "MalformedXML"),
        (
            document(rule("<Expiration><Days>1</Days><Date>2030-01-01T00:00:00Z</Date></Expiration>")),
            400,
            "MalformedXML",
        ),
        (
            document(
                rule(
                    "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
                    "<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>",
                )
            ),
            400,
            "InvalidRequest",
        ),
        (
            document(
                rule(
                    "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>"
                    "</AbortIncompleteMultipartUpload>",
                    "<Filter><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>",
                )
            ),
            400,
            "InvalidRequest",
        ),
        (
            document(
                rule(
                    "<NoncurrentVersionExpiration><NewerNoncurrentVersions>1</NewerNoncurrentVersions>"
                    "</NoncurrentVersionExpiration>"
                )
            ),
            400,
            "MalformedXML",
        ),
        (
            document(
                rule(
                    conditions="<Filter><And><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan>"
                    "<ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>"
                )
            ),
            400,
            "InvalidRequest",
        ),
        (
            document(rule("<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>")),
            501,
            "NotImplemented",
        ),
        (
            b"<LifecycleConfiguration>" + b" " * (3 << 20) + b"</LifecycleConfiguration>",
            400,
            "MaxMessageLengthExceeded",
        ),
    ],
)
def test_bad_configurations_change_nothing(
    client: Client, bucket: str, body: bytes, status: int, code: str | None
) -> None:
    kept = rule(identity="kept")
    client("PUT", "/box", document(kept), query=QUERY)
    refused = client("PUT", "/box", body, query=QUERY)
    assert (refused.status, refused.code) == (status, code)
    if status != 200:
        assert client("GET", "/box", query=QUERY).texts("Rule/ID") == ["kept"]


def test_expiration_is_announced(client: Client, bucket: str) -> None:
    named = rule(conditions="<Filter><Prefix>tmp/</Prefix></Filter>", identity="a rule")
    client("PUT", "/box", document(named), query=QUERY)
    for answer in (client("PUT", "/box/tmp/a", b"1"), client("HEAD", "/box/tmp/a"), client("GET", "/box/tmp/a")):
        assert answer.headers["x-amz-expiration"].endswith('00:00:00 GMT", rule-id="a%20rule"')
    assert "x-amz-expiration" not in client("PUT", "/box/b", b"1").headers
    assert "x-amz-expiration" not in client("GET", "/box/b").headers


TREES: Any = st.recursive(
    st.text("<>a0 ", max_size=6).map(lambda text: ("", text)),
    lambda inner: st.lists(
        st.tuples(
            st.sampled_from(
                ["Rule", "ID", "Status", "Filter", "Prefix", "And", "Tag", "Key", "Value", "Expiration", "Days", "Date"]
            ),
            inner,
        ),
        max_size=4,
    ),
)


@given(TREES)
def test_any_document_is_accepted_or_refused_by_name(tree: Any) -> None:
    from ironbucket.errors import S3Error

    writer = Writer("LifecycleConfiguration", xmlns="")

    def write(node: Any) -> None:
        if isinstance(node, tuple):
            return
        for name, inner in node:
            if isinstance(inner, tuple):
                writer.leaf(name, inner[1])
            else:
                writer.open(name)
                write(inner)
                writer.close()

    write(tree)
    try:
        rules = bucket_lifecycle.parse(parse(writer.bytes(), "LifecycleConfiguration"))
    except S3Error:
        return
    assert rules
