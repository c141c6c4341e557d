"""Cross-origin requests: the configuration of a bucket, the answer to a preflight, and the headers of every answer.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html, RESTOPTIONSobject.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html, https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ironbucket.errors import (
    AccessForbidden,
    BadRequest,
    InvalidRequest,
    IronBucketError,
    MalformedXML,
    NoSuchCORSConfiguration,
)
from ironbucket.s3.call import SMALL_DOCUMENT, Call
from ironbucket.s3.policy.glob import matches
from ironbucket.s3.request import Request
from ironbucket.s3.response import Header, Response, empty, xml
from ironbucket.s3.xml import Element, Writer

if TYPE_CHECKING:
    from ironbucket.node import Node

METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")
MAX_RULES = 100
MAX_ID = 255
_MAX_AGE = 2**31 - 1

#: element -> name in the stored rule
_LISTS = {
    "AllowedOrigin": "origins",
    "AllowedMethod": "methods",
    "AllowedHeader": "headers",
    "ExposeHeader": "expose",
}
_VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"

Rule = Mapping[str, Any]


# -- configuration ----------------------------------------------------------------------------------------------------


def get(call: Call) -> Response:
    """GetBucketCors."""
    rules = call.node.buckets.get(call.bucket).configuration.get("cors")
    if not rules:
        raise NoSuchCORSConfiguration(BucketName=call.bucket)
    writer = Writer("CORSConfiguration")
    for rule in rules:
        writer.open("CORSRule")
        if "id" in rule:
            writer.leaf("ID", rule["id"])
        for element, name in _LISTS.items():
            for value in rule.get(name, ()):
                writer.leaf(element, value)
        if "max_age" in rule:
            writer.leaf("MaxAgeSeconds", rule["max_age"])
        writer.close()
    return xml(writer)


def put(call: Call) -> Response:
    """PutBucketCors: the whole configuration is replaced. Raises MalformedXML and InvalidRequest."""
    rules = parse(call.document("CORSConfiguration", SMALL_DOCUMENT))
    call.node.buckets.configure(call.bucket, "cors", rules)
    return empty(200)


def delete(call: Call) -> Response:
    """DeleteBucketCors."""
    if "cors" in call.node.buckets.get(call.bucket).configuration:
        call.node.buckets.configure(call.bucket, "cors", None)
    return empty(204)


def parse(document: Element) -> list[dict[str, Any]]:
    """The rules of a document. Raises MalformedXML and InvalidRequest."""
    if not 1 <= len(document.children) <= MAX_RULES:
        raise MalformedXML
    rules = [_rule(element) for element in document]
    ids = [rule["id"] for rule in rules if "id" in rule]
    if len(set(ids)) != len(ids):
        raise InvalidRequest("Rule ID must be unique. Found same ID for more than one rule")
    return rules


def _rule(element: Element) -> dict[str, Any]:
    if element.name != "CORSRule":
        raise MalformedXML
    rule: dict[str, Any] = {}
    for child in element:
        text = child.text.strip()
        if child.name in _LISTS:
            rule.setdefault(_LISTS[child.name], []).append(text)
        elif child.name == "ID" and "id" not in rule and len(text) <= MAX_ID:
            rule["id"] = text
        elif child.name == "MaxAgeSeconds" and "max_age" not in rule and text.isascii() and text.isdecimal():
            rule["max_age"] = min(int(text[:12]), _MAX_AGE)
        else:
            raise MalformedXML
    if not rule.get("origins") or not rule.get("methods"):
        raise MalformedXML
    _check(rule)
    return rule


def _check(rule: Rule) -> None:
    for method in rule["methods"]:
        if method not in METHODS:
            raise InvalidRequest(f"Found unsupported HTTP method in CORS config. Unsupported method is {method}")
    for name, element in (("origins", "AllowedOrigin"), ("headers", "AllowedHeader")):
        for value in rule.get(name, ()):
            if value.count("*") > 1:
                raise InvalidRequest(f'{element} "{value}" can not have more than one wildcard.')
    for value in rule.get("expose", ()):
        if "*" in value:
            raise InvalidRequest(
                f'ExposeHeader "{value}" contains wildcard. We currently do not support wildcard for ExposeHeader.'
            )
    for values in (rule["origins"], rule.get("headers", ()), rule.get("expose", ())):
        if any(not value.isprintable() or not value.isascii() or not value for value in values):
            raise MalformedXML


# -- answers ----------------------------------------------------------------------------------------------------------


def preflight(node: Node, request: Request) -> Response:
    """The answer to OPTIONS, which browsers send unsigned. Raises BadRequest, AccessForbidden, NoSuchBucket."""
    origin = request.headers.get("origin")
    if not origin:
        raise BadRequest("Insufficient information. Origin request header needed.")
    method = request.headers.get("access-control-request-method", "")
    if method not in METHODS:
        raise BadRequest(f"Invalid Access-Control-Request-Method: {method or 'null'}")
    asked = request.headers.get("access-control-request-headers", "")
    names = [name.strip().lower() for name in asked.split(",") if name.strip()]
    rules = node.buckets.get(request.bucket).configuration.get("cors") if request.bucket else None
    if not rules:
        raise AccessForbidden(
            "CORSResponse: CORS is not enabled for this bucket.", Method=method, ResourceType=_kind(request)
        )
    rule = _matching(rules, origin, method, names)
    if rule is None:
        raise AccessForbidden(
            "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request"
            " method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the"
            " resource's CORS spec.",
            Method=method,
            ResourceType=_kind(request),
        )
    headers = _headers(rule, origin)
    if names:
        headers.append(("Access-Control-Allow-Headers", ", ".join(names)))
    if "max_age" in rule:
        headers.append(("Access-Control-Max-Age", str(rule["max_age"])))
    return empty(200, headers)


def headers(node: Node, request: Request) -> list[Header]:
    """What the answer to an actual request of another origin has to carry, be it a success or an error."""
    if not request.bucket:
        return []
    try:
        rules = node.buckets.get(request.bucket).configuration.get("cors")
    except IronBucketError:
        return []
    if not rules:
        return []
    origin = request.headers["origin"]
    rule = _matching(rules, origin, request.headers.get("access-control-request-method", request.method), ())
    return _headers(rule, origin) if rule is not None else [("Vary", _VARY)]


def _kind(request: Request) -> str:
    return "OBJECT" if request.key else "BUCKET"


def _matching(rules: Sequence[Rule], origin: str, method: str, names: Iterable[str]) -> Rule | None:
    """The first rule that allows the origin, the method and all the headers."""
    for rule in rules:
        if (
            method in rule["methods"]
            and any(_fits(allowed, origin) for allowed in rule["origins"])
            and all(any(_fits(allowed.lower(), name) for allowed in rule.get("headers", ())) for name in names)
        ):
            return rule
    return None


def _fits(pattern: str, text: str) -> bool:
    """Whether text fits a pattern in which * is the only wildcard."""
    if "*" not in pattern:
        return pattern == text
    return matches(pattern, text) if "?" not in pattern else False


def _headers(rule: Rule, origin: str) -> list[Header]:
    anyone = "*" in rule["origins"]
    found = [
        ("Access-Control-Allow-Origin", "*" if anyone else origin),
        ("Access-Control-Allow-Methods", ", ".join(rule["methods"])),
    ]
    if rule.get("expose"):
        found.append(("Access-Control-Expose-Headers", ", ".join(rule["expose"])))
    if not anyone:
        found.append(("Access-Control-Allow-Credentials", "true"))
    found.append(("Vary", _VARY))
    return found
