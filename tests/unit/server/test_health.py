"""The page that nginx and the master ask."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ironbucket.server import health

from .conftest import Client, Running, echo

Serve = Callable[..., Running]


def ask(client: Client) -> tuple[int, dict[str, Any]]:
    answer = client.get("/-/health")
    assert answer.headers["content-type"] == "application/json"
    return answer.status, json.loads(answer.body)


def test_health(serve: Serve) -> None:
    facts: dict[str, object] = {"node": "node-1"}
    draining = False

    def check() -> Mapping[str, object]:
        if "wrong" in facts:
            raise RuntimeError(str(facts["wrong"]))
        return facts

    client = serve(health.mount(echo, check, lambda: draining)).client()
    assert ask(client) == (200, {"status": "ok", "node": "node-1"})
    facts["wrong"] = "the disk is gone"
    assert ask(client) == (503, {"status": "error", "reason": "the disk is gone"})
    draining = True
    assert ask(client)[0] == 503
    assert client.get("/b/k").body == b"GET /b/k "
    client.send(b"PUT /-/health HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n")
    assert client.answer().status == 405
