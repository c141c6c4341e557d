"""The mark that this node wants a full copy of its peers' state: a file beside the log, there until one has arrived.

``resync.json``: {"id": ..., "from": node id or "", "reason": ..., "since_ms": ...}
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import asdict, dataclass

from ironbucket import fsutil
from ironbucket.clock import wall_ms

_NAME = "resync.json"


@dataclass(frozen=True, slots=True)
class Request:
    id: str
    source: str  # the node that it is to come from; "" for any
    reason: str
    since_ms: int


def request(directory: str, reason: str, source: str = "") -> Request:
    """Ask for a full copy, durably. A request that is there already is replaced."""
    made = Request(secrets.token_hex(8), source, reason, wall_ms())
    fsutil.replace_file(_path(directory), json.dumps(asdict(made)).encode() + b"\n")
    return made


def pending(directory: str) -> Request | None:
    """What was asked for and has not arrived yet."""
    try:
        with open(_path(directory), "rb") as source:
            return Request(**json.load(source))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return Request("", "", "the request cannot be read", 0)  # asked for, by whomever: any peer may answer


def done(directory: str, request_id: str) -> None:
    """Withdraw the request, unless it was replaced meanwhile."""
    now = pending(directory)
    if now is not None and now.id == request_id:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_path(directory))
        fsutil.sync_directory(directory)


def _path(directory: str) -> str:
    return os.path.join(directory, _NAME)
