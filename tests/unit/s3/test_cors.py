"""CORS: what configurations are accepted, what preflights are told, what every answer carries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket.s3.cors import _fits
from tests.unit.s3.conftest import Answer, Client

RULES = b"""<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
 <CORSRule><ID>one</ID><AllowedOrigin>http://*.example.com</AllowedOrigin><AllowedMethod>PUT</AllowedMethod>
  <AllowedMethod>GET</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>
  <MaxAgeSeconds>3000</MaxAgeSeconds></CORSRule>
 <CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>
</CORSConfiguration>"""


def configure(client: Client) -> None:
    assert client("PUT", "/box", RULES, query="cors").status == 200


def preflight(client: Client, origin: str | None, method: str | None, headers: str | None = None) -> Answer:
    sent = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }
    return client("OPTIONS", "/box/a", headers=sent, signed=False)


def test_the_configuration_is_kept(client: Client, bucket: str) -> None:
    configure(client)
    answer = client("GET", "/box", query="cors")
    assert answer.texts("CORSRule/AllowedMethod") == ["PUT", "GET", "GET"]
    assert (answer.text("CORSRule/ID"), answer.text("CORSRule/MaxAgeSeconds")) == ("one", "3000")
    assert client("PUT", "/box", answer.body, query="cors").status == 200
    assert client("GET", "/box", query="cors").body == answer.body
    assert client("DELETE", "/box", query="cors").status == 204
    assert client("GET", "/box", query="cors").code == "NoSuchCORSConfiguration"


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("", "MalformedXML"),
        ("<AllowedOrigin>*</AllowedOrigin>", "MalformedXML"),
        ("<AllowedMethod>GET</AllowedMethod>", "MalformedXML"),
        ("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>PATCH</AllowedMethod>", "InvalidRequest"),
        ("<AllowedOrigin>*.*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>", "InvalidRequest"),
        ("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><Other/>", "MalformedXML"),
        (
            "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><ExposeHeader>*</ExposeHeader>",
            "InvalidRequest",
        ),
        (
            "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><MaxAgeSeconds>x</MaxAgeSeconds>",
            "MalformedXML",
        ),
    ],
)
def test_what_is_refused(client: Client, bucket: str, rule: str, code: str) -> None:
    configure(client)
    kept = client("GET", "/box", query="cors").body
    body = f"<CORSConfiguration><CORSRule>{rule}</CORSRule></CORSConfiguration>".encode()
    assert client("PUT", "/box", body, query="cors").code == code
    assert client("PUT", "/box", b"<CORSConfiguration/>", query="cors").code == "MalformedXML"
    assert client("GET", "/box", query="cors").body == kept


def test_a_preflight(client: Client, bucket: str) -> None:
    configure(client)
    answer = preflight(client, "http://www.example.com", "PUT", "X-Amz-Date, x-amz-acl")
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "http://www.example.com"
    assert answer.headers["access-control-allow-methods"] == "PUT, GET"
    assert answer.headers["access-control-allow-headers"] == "x-amz-date, x-amz-acl"
    assert answer.headers["access-control-max-age"] == "3000"
    assert answer.headers["access-control-expose-headers"] == "ETag"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "Origin" in answer.headers["vary"]
    anyone = preflight(client, "https://elsewhere", "GET")
    assert anyone.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in anyone.headers


def test_preflights_that_are_refused(client: Client, bucket: str) -> None:
    assert preflight(client, "http://www.example.com", "GET").code == "AccessForbidden"
    configure(client)
    for origin, method, headers in (
        ("https://elsewhere", "PUT", None),
        ("http://www.example.com", "DELETE", None),
        ("http://www.example.com", "PUT", "authorization"),
    ):
        answer = preflight(client, origin, method, headers)
        assert (answer.status, answer.code) == (403, "AccessForbidden")
    assert preflight(client, None, "GET").code == "BadRequest"
    assert preflight(client, "http://a", None).code == "BadRequest"
    assert preflight(client, "http://a", "PATCH").code == "BadRequest"
    assert client("OPTIONS", "/nowhere/a", headers={"Origin": "http://a", "Access-Control-Request-Method": "GET"},
                  signed=False).code == "NoSuchBucket"  # fmt: skip


def test_every_answer_carries_the_headers(client: Client, bucket: str) -> None:
    configure(client)
    origin = {"Origin": "http://www.example.com"}
    stored = client("PUT", "/box/a", b"1", headers=origin)
    assert stored.headers["access-control-allow-origin"] == "http://www.example.com"
    missing = client("GET", "/box/missing", headers=origin)
    assert (missing.status, missing.headers["access-control-expose-headers"]) == (404, "ETag")
    denied = client("GET", "/box/a", headers=origin, signed=False)
    assert (denied.status, denied.headers["access-control-allow-origin"]) == (403, "http://www.example.com")
    assert "access-control-allow-origin" not in client("DELETE", "/box/a", headers=origin).headers
    assert "access-control-allow-origin" not in client("GET", "/box/a").headers


@given(st.text("ab*", max_size=6), st.text("ab", max_size=6))
def test_a_star_is_any_text(pattern: str, text: str) -> None:
    head, star, tail = pattern.partition("*")
    if "*" in tail:
        return
    expected = text.startswith(head) and text.endswith(tail) and len(text) >= len(head + tail) if star else text == head
    assert _fits(pattern, text) is expected
