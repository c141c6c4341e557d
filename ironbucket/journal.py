"""The log of what the program does (not of what is stored): one JSON object a line, with no secret in it.

A line has `time` (UTC, RFC 3339, milliseconds), `level`, `name` (the module) and `message`; `request_id` where one is
being served; whatever the caller gave as `extra={"fields": {...}}`; and `error` with the traceback of an exception.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, TextIO

#: id of the request that this thread is serving; '' outside of one
request_id: ContextVar[str] = ContextVar("request_id", default="")

#: what stands in a line in place of a secret
MASK = "(secret)"

_SHORTEST_SECRET = 8  # a shorter one is refused by the settings; masking it would tear ordinary words apart


class Formatter(logging.Formatter):
    """A log record as one line of JSON in which every occurrence of a secret is masked."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        # as they appear inside a JSON string; the longest first, lest a shorter one leave a rest
        escaped = {json.dumps(secret)[1:-1] for secret in secrets if len(secret) >= _SHORTEST_SECRET}
        self._secrets = sorted(escaped, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "name": record.name,
            "message": record.getMessage(),
        }
        request = request_id.get()
        if request:
            line["request_id"] = request
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        text = json.dumps(line, default=str, separators=(",", ":"))
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text


def configure(level: str, stream: TextIO, secrets: Iterable[str] = ()) -> None:
    """Send everything from `level` (debug, info, warning, error) upwards to `stream`. May be called again."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Formatter(secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
