"""PostObject: a browser's form becomes an object.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from ironbucket import signature, verifier
from ironbucket.errors import (
    AccessDenied,
    EntityTooLarge,
    EntityTooSmall,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    KeyTooLongError,
    MissingContentLength,
    PreconditionFailed,
    SignatureDoesNotMatch,
)
from ironbucket.node.body import Body, Expected
from ironbucket.s3 import access_config, attributes, declared, object_lock, post_policy, tags
from ironbucket.s3.authorise import authorise_operation
from ironbucket.s3.call import Call
from ironbucket.s3.credentials import Identity
from ironbucket.s3.form import Form, boundary
from ironbucket.s3.object_put import MAX_PUT
from ironbucket.s3.post_policy import Range
from ironbucket.s3.request import MAX_KEY
from ironbucket.s3.response import Header, Response, empty, expiration_headers, write_headers
from ironbucket.s3.xml import Writer, parse

#: headers of the request that stay; all others are what the form says
_TRANSPORT = frozenset(
    ("host", "user-agent", "referer", "origin", "x-forwarded-for", "x-forwarded-proto", "content-length")
)
#: fields that are headers of the object
_FIELDS = ("cache-control", "content-type", "content-disposition", "content-encoding", "expires", "content-md5")
_SIGNATURE = ("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature")
_FILENAME = "${filename}"


def post(call: Call) -> Response:
    """Store the form's file under the form's key, if its policy and everyone else's permit it."""
    request = call.request
    separator = boundary(call.header("content-type"))
    if separator is None:
        raise PreconditionFailed(
            "Bucket POST must be of the enclosure-type multipart/form-data",
            Condition="Bucket POST must be of the enclosure-type multipart/form-data",
        )
    if not call.authentication.identity.anonymous:
        raise InvalidRequest("A form is authenticated by its fields, not by the request's headers or query.")
    if "content-length" not in request.headers and "transfer-encoding" not in request.headers:
        raise MissingContentLength
    form = Form(request.environ["wsgi.input"].readinto, separator)
    fields = form.fields
    key = _key(fields, form)
    size = _authenticate(call, {**fields, "key": key})
    request.headers = _headers(request.headers, fields)
    request.key = key
    authorise_operation(request, "s3:PutObject")
    if access_config.brings_acl(request):
        access_config.check_headers(call)
    described = attributes.read(request.headers, call.owner_id)
    if lock := object_lock.of_write(request.headers):
        described = replace(described, extra={**described.extra, **lock})
    expected = Expected(md5=declared.content_md5(request), checksums=declared.declared_checksums(request))
    version = call.node.objects.put(call.bucket, key, _Limited(form, size), expected, described)
    headers = [*write_headers(version), *expiration_headers(version), ("Location", _location(call, key))]
    return _answer(call, fields, key, headers, version.etag)


def _key(fields: Mapping[str, str], form: Form) -> str:
    """The key, with the file's name in it. Raises InvalidArgument and KeyTooLongError."""
    key = fields.get("key", "")
    if not key:
        raise InvalidArgument(
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.",
            ArgumentName="key",
            ArgumentValue="",
        )
    if not form.has_file:
        raise InvalidArgument(
            "POST requires exactly one file upload per request.", ArgumentName="file", ArgumentValue="0"
        )
    key = key.replace(_FILENAME, form.file_name)
    size = len(key.encode())
    if size > MAX_KEY:
        raise KeyTooLongError(Size=str(size), MaxSizeAllowed=str(MAX_KEY))
    if not key:
        raise InvalidArgument("User key must have a length greater than 0.", ArgumentName="key", ArgumentValue="")
    return key


def _authenticate(call: Call, fields: Mapping[str, str]) -> Range:
    """Find out who signed the form, and hold it against its policy. A form without either is anonymous."""
    if "policy" not in fields and "x-amz-signature" not in fields and "signature" not in fields:
        return Range()
    if "signature" in fields or "awsaccesskeyid" in fields:
        raise InvalidRequest(
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
        )
    for name in ("policy", *_SIGNATURE):
        if not fields.get(name):
            raise InvalidArgument(
                f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the"
                " fields.",
                ArgumentName=name,
                ArgumentValue="",
            )
    if "x-amz-security-token" in fields:
        raise InvalidToken
    identity = _signer(call, fields)
    call.request.identity = identity
    call.authentication = call.authentication._replace(identity=identity)
    call.request.environ["ironbucket.access_key"] = identity.access_key
    if identity.user:
        call.request.environ["ironbucket.user"] = identity.user
    return post_policy.check(fields["policy"], fields, call.bucket, time.time())


def _signer(call: Call, fields: Mapping[str, str]) -> Identity:
    """Who signed the policy. Raises InvalidArgument, InvalidAccessKeyId, SignatureDoesNotMatch."""
    algorithm, credential, stamp, provided = (fields[name] for name in _SIGNATURE)
    region = call.node.settings.region
    parsed = verifier.parse_credential(credential)
    if algorithm != signature.ALGORITHM or parsed is None or not signature.is_timestamp(stamp):
        raise InvalidArgument(
            "The form's x-amz-algorithm, x-amz-credential and x-amz-date must be those of AWS4-HMAC-SHA256.",
            ArgumentName="x-amz-credential",
            ArgumentValue=credential,
        )
    access_key, date, *scope = parsed
    if scope != [region, "s3", signature.TERMINATOR] or stamp[:8] != date:
        raise InvalidArgument(
            f"The form's credential must be of the day of x-amz-date, of the region '{region}' and the service 's3'.",
            ArgumentName="x-amz-credential",
            ArgumentValue=credential,
        )
    signer = call.credentials.verifier(region).signer(access_key, date)
    if not hmac.compare_digest(signer.sign(fields["policy"].encode()).encode(), provided.encode()):
        raise SignatureDoesNotMatch(
            AWSAccessKeyId=access_key, StringToSign=fields["policy"], SignatureProvided=provided
        )
    found = call.credentials.lookup(access_key)
    if found is None:
        raise AccessDenied
    return found[1]


def _headers(sent: Mapping[str, str], fields: Mapping[str, str]) -> dict[str, str]:
    """The headers that a PUT of this form would have had."""
    headers = {name: value for name, value in sent.items() if name in _TRANSPORT}
    for name, value in fields.items():
        if (name in _FIELDS or name.startswith("x-amz-")) and name not in _SIGNATURE and value:
            if any(character in value for character in "\r\n\0"):
                raise InvalidArgument(ArgumentName=name, ArgumentValue=value)
            headers[name] = value.encode().decode("latin-1")  # as a header of that text would have come
    if fields.get("acl"):
        headers["x-amz-acl"] = fields["acl"]
    if fields.get("tagging"):
        found = tags.from_document(parse(fields["tagging"].encode(), "Tagging"))
        headers["x-amz-tagging"] = urlencode(found, quote_via=quote)
    return headers


class _Limited:
    """The file, held to the size that the policy allows. What is too large is refused as soon as it shows."""

    def __init__(self, body: Body, size: Range) -> None:
        self._body, self._least = body, size.least
        self._most = MAX_PUT if size.most is None else min(size.most, MAX_PUT)
        self._count = 0

    def readinto(self, buffer: memoryview) -> int:
        count = self._body.readinto(buffer)
        self._count += count
        if self._count > self._most:
            raise EntityTooLarge(ProposedSize=str(self._count), MaxSizeAllowed=str(self._most))
        if count == 0 and len(buffer) and self._count < self._least:
            raise EntityTooSmall(ProposedSize=str(self._count), MinSizeAllowed=str(self._least))
        return count

    def trailers(self) -> Mapping[str, str]:
        return {}


def _location(call: Call, key: str) -> str:
    scheme = call.request.environ.get("wsgi.url_scheme", "http")
    return f"{scheme}://{call.request.host}{call.request.raw_path.rstrip('/')}/{quote(key, safe='/~')}"


def _answer(call: Call, fields: Mapping[str, str], key: str, headers: list[Header], etag: str) -> Response:
    """A redirect where the form asks for one, else the status that it asks for, else 204."""
    redirect = fields.get("success_action_redirect") or fields.get("redirect") or ""
    if target := _redirect(redirect, {"bucket": call.bucket, "key": key, "etag": f'"{etag}"'}):
        headers = [(name, value) for name, value in headers if name != "Location"]
        return empty(303, [*headers, ("Location", target)])
    status = fields.get("success_action_status", "")
    if status == "201":
        writer = Writer("PostResponse", "")
        writer.leaf("Location", _location(call, key))
        writer.leaf("Bucket", call.bucket)
        writer.leaf("Key", key)
        writer.leaf("ETag", f'"{etag}"')
        body = writer.bytes()
        fixed = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
        return Response(201, [*headers, *fixed], [body])
    return empty(200 if status == "200" else 204, headers)


def _redirect(text: str, answer: Mapping[str, str]) -> str:
    """A URL with what was stored in its query; "" for what is no URL of the web."""
    if not text.isascii() or not text.isprintable():
        return ""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return ""
    query = "&".join(filter(None, (parts.query, urlencode(answer, quote_via=quote))))
    return urlunsplit(parts._replace(query=query))
