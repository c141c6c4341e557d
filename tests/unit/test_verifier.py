"""Verifying: what one side signs the other side accepts, and nothing else."""

import hashlib
import time
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket import signature
from ironbucket.errors import InvalidAccessKeyId, S3Error, SignatureDoesNotMatch
from ironbucket.verifier import Verifier

SECRETS = {"node-1": "a secret", "näme": "ein Gehéimnis"}
NOW = 1369353600.0
HEADERS = {"host": "node-2:9000", "x-amz-meta-a": "1"}


def verifier() -> Verifier:
    return Verifier(SECRETS.get, "ironbucket", "cluster")


def sign(method: str, target: str, headers: dict[str, str], **changes: object) -> dict[str, str]:
    arguments = {"access_key": "node-1", "secret": SECRETS["node-1"], "region": "ironbucket", "service": "cluster"}
    return signature.sign(method, target, headers, **{**arguments, "now": NOW, **changes})  # type: ignore[arg-type]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20)


@given(TEXT, st.dictionaries(TEXT.filter(bool), TEXT, max_size=3), st.dictionaries(
    st.from_regex(r"x-amz-meta-[a-z%]{1,5}", fullmatch=True), VALUES, max_size=3))  # fmt: skip
def test_what_is_signed_is_verified(key: str, query: dict[str, str], extra: dict[str, str]) -> None:
    target = signature.encode_path("/b/" + key) + "?" + urlencode(query, quote_via=quote)
    headers = sign("PUT", target, {"Host": "h:1", **extra})
    path, _, raw_query = target.partition("?")
    subject = verifier()
    for _ in range(2):  # the second time from the caches
        access_key, payload, *_rest, stamp = subject.verify("PUT", path, raw_query, headers, NOW)
        assert (access_key, payload, stamp) == ("node-1", signature.UNSIGNED_PAYLOAD, "20130524T000000Z")


CHANGES: dict[str, dict[str, object]] = {
    "method": {"method": "DELETE"},
    "path": {"path": "/b/k2"},
    "query": {"raw_query": "x=2"},
    "no query": {"raw_query": ""},
    "more query": {"raw_query": "x=1&y=1"},
    "host": {"host": "node-3:9000"},
    "no host": {"host": None},
    "meta": {"x-amz-meta-a": "2"},
    "no meta": {"x-amz-meta-a": None},
    "more meta": {"x-amz-meta-b": "1"},
    "payload": {"x-amz-content-sha256": signature.EMPTY_SHA256},
    "no payload": {"x-amz-content-sha256": None},
    "second": {"x-amz-date": "20130524T000001Z"},
    "day": {"x-amz-date": "20130525T000000Z"},
    "no date": {"x-amz-date": None},
    "bad date": {"x-amz-date": "yesterday"},
    "early": {"now": NOW - 901},
    "late": {"now": NOW + 901},
}


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_nothing_can_be_changed(change: dict[str, object], cached: bool) -> None:
    signed = sign("PUT", "/b/k?x=1", HEADERS)
    subject = verifier()
    if cached:
        subject.verify("PUT", "/b/k", "x=1", signed, NOW)
    arguments: dict[str, object] = {"method": "PUT", "path": "/b/k", "raw_query": "x=1", "now": NOW, **signed}
    arguments |= change
    method, path, query, now = (arguments.pop(name) for name in ("method", "path", "raw_query", "now"))
    headers = {name: value for name, value in arguments.items() if value is not None}
    with pytest.raises(S3Error):
        subject.verify(method, path, query, headers, now)  # type: ignore[arg-type]


@given(st.data())
def test_no_character_of_the_authorization_can_be_changed(data: st.DataObject) -> None:
    signed = sign("GET", "/b/k", HEADERS)
    text = signed["authorization"]
    position = data.draw(st.integers(0, len(text) - 1))
    changed = text[:position] + data.draw(st.characters(max_codepoint=255)) + text[position + 1 :]
    subject = verifier()
    subject.verify("GET", "/b/k", "", signed, NOW)
    if "".join(changed.split()) != "".join(text.split()):
        with pytest.raises(S3Error):
            subject.verify("GET", "/b/k", "", {**signed, "authorization": changed}, NOW)


@given(st.text(max_size=80))
def test_any_authorization_is_refused_with_an_s3_error(text: str) -> None:
    for head in ("", "AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256 Credential="):
        with pytest.raises(S3Error):
            verifier().verify("GET", "/", "", {"authorization": head + text}, NOW)


def test_the_clocks_may_differ_by_a_quarter_of_an_hour() -> None:
    signed = sign("GET", "/", HEADERS)
    for now in (NOW - 900, NOW + 900):
        assert verifier().verify("GET", "/", "", signed, now)[0] == "node-1"


def test_unknown_keys_and_other_secrets() -> None:
    with pytest.raises(InvalidAccessKeyId):
        verifier().verify("GET", "/", "", sign("GET", "/", HEADERS, access_key="node-9"), NOW)
    with pytest.raises(SignatureDoesNotMatch):
        verifier().verify("GET", "/", "", sign("GET", "/", HEADERS, secret="guess"), NOW)
    with pytest.raises(S3Error):
        verifier().verify("GET", "/", "", sign("GET", "/", HEADERS, service="s3"), NOW)


def test_spacing_and_order_of_the_authorization_do_not_matter() -> None:
    signed = sign("GET", "/", HEADERS)
    credential, names, proof = signed["authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(", ")
    for text in (
        f"AWS4-HMAC-SHA256 {credential},{names},{proof}",
        f"AWS4-HMAC-SHA256  {credential} ,  {names} , {proof} ",
        f"AWS4-HMAC-SHA256 {proof}, {names}, {credential}",
    ):
        subject = verifier()
        for _ in range(2):
            assert subject.verify("GET", "/", "", {**signed, "authorization": text}, NOW)[0] == "node-1"


def test_a_signed_expect_header_that_a_proxy_dropped_is_put_back() -> None:
    signed = sign("PUT", "/", {**HEADERS, "expect": "100-continue"})
    del signed["expect"]
    assert verifier().verify("PUT", "/", "", signed, NOW)[0] == "node-1"
    with pytest.raises(SignatureDoesNotMatch):
        verifier().verify("PUT", "/x", "", signed, NOW)


def test_caches_stay_small() -> None:
    subject = verifier()
    for second in range(3000):
        headers = {"host": "h", f"x-amz-meta-{second}": "1"}
        subject.verify("GET", "/", "", sign("GET", "/", headers, now=NOW + second), NOW + second)
    assert max(len(subject._grants), len(subject._signers), len(subject._times)) <= 1024


def test_the_mismatch_tells_a_developer_what_was_expected() -> None:
    signed = sign("GET", "/", HEADERS, secret="guess")
    with pytest.raises(SignatureDoesNotMatch) as caught:
        verifier().verify("GET", "/", "", signed, NOW)
    details = caught.value.details
    assert details["AWSAccessKeyId"] == "node-1"
    assert details["SignatureProvided"] == signed["authorization"][-64:]
    assert details["StringToSign"].startswith("AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/ironbucket/cluster/")
    assert details["CanonicalRequest"].startswith("GET\n/\n\nhost:node-2:9000\n")
    assert bytes.fromhex(details["CanonicalRequestBytes"]).decode() == details["CanonicalRequest"]
    assert bytes.fromhex(details["StringToSignBytes"]).decode() == details["StringToSign"]


def test_the_date_header_will_do() -> None:
    stamp = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(NOW))
    headers = {"host": "h", "date": stamp, "x-amz-content-sha256": signature.UNSIGNED_PAYLOAD}
    signed = sorted(headers)
    canonical = signature.canonical_request("GET", "/", "", headers, signed, signature.UNSIGNED_PAYLOAD)
    scope = "20130524/ironbucket/cluster/aws4_request"
    to_sign = signature.string_to_sign("20130524T000000Z", scope, canonical)
    assert to_sign.endswith(hashlib.sha256(canonical.encode()).hexdigest())
    proof = signature.Signer(signature.signing_key(SECRETS["node-1"], "20130524", "ironbucket", "cluster"))
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential=node-1/{scope}, SignedHeaders={';'.join(signed)}, "
        f"Signature={proof.sign(to_sign.encode())}"
    )
    assert verifier().verify("GET", "/", "", headers, NOW)[5] == "20130524T000000Z"
