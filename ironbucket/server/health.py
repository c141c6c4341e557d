"""`GET /-/health`: can this worker serve? 200 if so, 503 and the reason if not. nginx and the master process ask."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

PATH = "/-/health"


def mount(
    application: Callable[..., Any], check: Callable[[], Mapping[str, object]], draining: Callable[[], bool]
) -> Callable[..., Any]:
    """`application` with the health page in front.

    `check` returns facts to show, or raises what is wrong. It is called in the server's loop: it must not wait.
    """

    def with_health(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["PATH_INFO"] != PATH:
            return application(environ, start_response)
        return _answer(environ, start_response, check, draining)

    return with_health


def _answer(
    environ: dict[str, Any],
    start_response: Callable[..., Any],
    check: Callable[[], Mapping[str, object]],
    draining: Callable[[], bool],
) -> Iterable[bytes]:
    status, facts = "200 OK", dict[str, object](status="ok")
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        status, facts = "405 Method Not Allowed", {"status": "error", "reason": "only GET and HEAD"}
    elif draining():
        status, facts = "503 Service Unavailable", {"status": "draining", "reason": "the server is stopping"}
    else:
        try:
            facts.update(check())
        except Exception as error:  # noqa: BLE001 - whatever is wrong is the answer
            status, facts = "503 Service Unavailable", {"status": "error", "reason": str(error) or repr(error)}
    body = json.dumps(facts).encode() + b"\n"
    start_response(
        status,
        [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")],
    )
    return [body]
