"""What a listing must say, computed the slow and obvious way from the set of keys.

Source: ListObjects and ListObjectsV2 of the S3 API reference. Order is that of the UTF-8 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class ModelPage:
    keys: tuple[str, ...]
    prefixes: tuple[str, ...]
    truncated: bool
    last: str  # the greatest key or common prefix of the page; "" when it is empty


def order(text: str) -> bytes:
    return text.encode("utf-8")


def entries(keys: Iterable[str], prefix: str = "", delimiter: str = "") -> list[tuple[str, bool]]:
    """All (name, is common prefix) of a listing without limits, in order."""
    found: dict[str, bool] = {}
    for key in keys:
        if not key.startswith(prefix):
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        if cut >= 0:
            found[key[: cut + len(delimiter)]] = True
        else:
            found.setdefault(key, False)
    return sorted(found.items(), key=lambda item: order(item[0]))


def page(keys: Iterable[str], prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000) -> ModelPage:
    """One page. `after` skips keys up to and including it, and common prefixes that it lies in or behind."""
    rest = [
        (name, shared)
        for name, shared in entries(keys, prefix, delimiter)
        if order(name) > order(after) and not (shared and after.startswith(name))
    ]
    shown, more = rest[:limit], rest[limit:]
    return ModelPage(
        tuple(name for name, shared in shown if not shared),
        tuple(name for name, shared in shown if shared),
        bool(more) and limit > 0,
        shown[-1][0] if shown else "",
    )
