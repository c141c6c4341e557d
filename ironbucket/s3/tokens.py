"""Continuation tokens: a place in a listing as text that clients hand back unread, and cannot make up by accident."""

from __future__ import annotations

import base64
import binascii
import zlib

from ironbucket.errors import InvalidArgument


def encode(place: str) -> str:
    """The token for the place after `place`, a key, a common prefix or a bucket's name."""
    data = place.encode()
    return base64.urlsafe_b64encode(zlib.crc32(data).to_bytes(4, "big") + data).decode()


def decode(token: str) -> str:
    """The place that a token stands for. Raises InvalidArgument for a token that this server did not make."""
    try:
        data = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        check, place = data[:4], data[4:]
        if len(check) == 4 and int.from_bytes(check, "big") == zlib.crc32(place):
            return place.decode()
    except (binascii.Error, UnicodeError):
        pass
    raise InvalidArgument(
        "The continuation token provided is incorrect", ArgumentName="continuation-token", ArgumentValue=token
    )
