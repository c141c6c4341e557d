"""What the logs of nodes say, worked out without the program: the state that they must come to, and what lost.

Knows the documented format of the log and the rules of docs/guarantees.md, nothing of the index. For buckets without
versioning.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from tests.harness.process import NodeProcess

Stream = tuple[str, str]  # node, epoch
_UNESCAPE = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r", "\\0": "\0"}


@dataclass(frozen=True)
class Entry:
    """A line."""

    operation: str
    node: str
    epoch: str
    sequence: int
    ms: int
    bucket: str
    key: str
    etag: str
    attributes: dict[str, Any]

    @property
    def stamp(self) -> tuple[int, int, str, str]:
        return self.ms, self.attributes.get("logical", 0), self.node, self.epoch

    @property
    def version(self) -> str:
        return str(self.attributes.get("version", ""))


def logs(node: NodeProcess) -> dict[Stream, bytes]:
    """The lines of every log that lies on a node: its own and its copies, without headers; each hash is checked."""
    files: dict[tuple[str, str, int], bytes] = {}
    for path in [*node.wal_dir.glob("wal*.log*"), *node.wal_dir.glob("peers/*/*.log*")]:
        if path.name.endswith((".log", ".log.zst")):
            place, chain, lines = _split(path)
            _check_chain(path, chain, lines)
            files[place] = lines
    found: dict[Stream, bytes] = {}
    for name, epoch, first in sorted(files):
        found[name, epoch] = found.get((name, epoch), b"") + files[name, epoch, first]
    return {stream: lines for stream, lines in found.items() if lines}


def _split(path: Path) -> tuple[tuple[str, str, int], str, bytes]:
    data = path.read_bytes()
    if path.name.endswith(".zst"):
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    head, _, rest = data.partition(b"\n")
    fields = dict(one.split("=", 1) for one in head.decode().removeprefix("# ").split("\t"))
    return (fields["node"], fields["epoch"], int(fields["first"])), fields["chain"], rest


def _check_chain(path: Path, chain: str, lines: bytes) -> None:
    for number, raw in enumerate(lines.splitlines(keepends=True)):
        covered, _, found = raw.rstrip(b"\n").rpartition(b"\t")
        chain = hashlib.sha256(chain.encode() + covered + b"\t").hexdigest()[:32]
        assert raw.endswith(b"\n") and found.decode() == chain, f"{path}: line {number + 2} is not what was written"


def entries(found: dict[Stream, bytes]) -> Iterator[Entry]:
    """Every line of these logs."""
    for (node, epoch), data in found.items():
        for raw in data.splitlines():
            fields = [_unescape(field) for field in raw.decode("utf-8", "surrogatepass").split("\t")][:-1]
            if len(fields) < 6:
                continue
            whole = len(fields) == 9
            yield Entry(
                operation=fields[0],
                node=node,
                epoch=epoch,
                sequence=int(fields[2]),
                ms=int(fields[3]),
                bucket=fields[4],
                key=fields[5] if len(fields) > 6 else "",
                etag=fields[7] if whole else "",
                attributes=json.loads(fields[-1]),
            )


def _unescape(text: str) -> str:
    out, at = "", 0
    while at < len(text):
        pair = text[at : at + 2]
        out += _UNESCAPE.get(pair, text[at])
        at += 2 if pair in _UNESCAPE else 1
    return out


@dataclass
class Outcome:
    """What the writes of one key come to."""

    current: Entry  # the last writer; the key is absent when it is a DELETE
    lost: list[Entry]  # neither current nor named by a later write as the one that it replaced


def outcomes(found: Iterable[Entry]) -> dict[tuple[str, str], Outcome]:
    """(bucket, key) -> outcome, by the rule that the greatest stamp wins."""
    writes: dict[tuple[str, str], list[Entry]] = {}
    for entry in found:
        if entry.operation in ("PUT", "DELETE") and "removes" not in entry.attributes:
            assert not entry.attributes.get("versioned"), "for buckets without versioning"
            writes.setdefault((entry.bucket, entry.key), []).append(entry)
    result = {}
    for place, group in writes.items():
        current = max(group, key=lambda entry: entry.stamp)
        replaced = {entry.attributes.get("replaced") for entry in group}
        lost = [entry for entry in group if entry is not current and entry.version not in replaced]
        result[place] = Outcome(current, lost)
    return result
