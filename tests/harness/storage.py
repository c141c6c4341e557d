"""What lies on the disk of a node, read without the program: log lines, payload files, what belongs to nothing.

Knows the documented format of the log (docs/wal-format.md) and the documented names of payloads, nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.process import NodeProcess

_SYSTEM = (".staging", ".uploads", ".keys")


@dataclass(frozen=True)
class Line:
    operation: str
    fields: tuple[str, ...]
    attributes: dict[str, Any]
    offset: int  # of its first byte in the file
    length: int  # with its LF


def lines(path: Path) -> Iterator[Line]:
    """The records of one log file; the offset and length are in bytes."""
    offset = 0
    for raw in path.read_bytes().splitlines(keepends=True):
        if not raw.startswith(b"#"):
            fields = raw.rstrip(b"\n").decode("utf-8", "replace").split("\t")
            text = fields[-2].replace("\\\\", "\\") if len(fields) > 2 else "{}"
            yield Line(fields[0], tuple(fields), json.loads(text), offset, len(raw))
        offset += len(raw)


def log_files(node: NodeProcess) -> list[Path]:
    """The closed segments that are not compressed, and the active one."""
    return [*sorted(node.wal_dir.glob("wal-*.log")), *([node.wal_path] if node.wal_path.exists() else [])]


def chain_faults(path: Path) -> list[str]:
    """What is wrong with a segment: gaps in its sequence, hashes that do not match, an end that is cut."""
    faults, chain, expected, offset = [], b"", 0, 0
    for raw in path.read_bytes().splitlines(keepends=True):
        if raw.startswith(b"# ironbucket-wal="):
            header = dict(field.partition(b"=")[::2] for field in raw[2:].rstrip(b"\n").split(b"\t"))
            chain, expected = header[b"chain"], int(header[b"first"])
        elif not raw.startswith(b"#"):
            covered, _, found = raw.rpartition(b"\t")
            wanted = hashlib.sha256(chain + covered + b"\t").hexdigest()[:32].encode() + b"\n"
            if found != wanted:
                faults.append(f"{path.name} byte {offset}: the chain hash is {found!r}, not {wanted!r}")
            if int(raw.split(b"\t", 3)[2]) != expected:
                faults.append(f"{path.name} byte {offset}: not sequence {expected}: {raw[:60]!r}")
            chain, expected = found.rstrip(b"\n"), expected + 1
        offset += len(raw)
    return faults


def logged_versions(node: NodeProcess) -> set[str]:
    """The version id of every PUT in the log: each names one payload."""
    return {
        line.attributes.get("version", "")
        for path in log_files(node)
        for line in lines(path)
        if line.operation == "PUT"
    }


def payloads(node: NodeProcess) -> dict[str, Path]:
    """version id -> path of every settled payload (a directory, for an object of parts)."""
    found = {}
    for bucket in node.storage.iterdir():
        if bucket.name.startswith(".") or not bucket.is_dir():
            continue
        for shard in bucket.iterdir():
            if shard.name in _SYSTEM:
                continue
            for path in shard.iterdir():
                found[path.name.rpartition("~")[2]] = path
    return found


def strays(node: NodeProcess) -> list[str]:
    """Files of a quiet node that no record mentions: what a crash left, and nobody will ever remove."""
    found = []
    known = logged_versions(node)
    for version, path in payloads(node).items():
        if version not in known:
            found.append(f"{path}: no record")
    for root, _, names in os.walk(node.storage):
        here = os.path.relpath(root, node.storage)
        for name in names:
            if name.endswith(".tmp") or (os.sep + ".staging" in os.sep + here):
                found.append(os.path.join(root, name))
    return found


def open_descriptors(pid: int) -> int:
    """How many file descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory(pid: int) -> tuple[int, int]:
    """Resident set of a process in bytes: now, and the highest so far."""
    values = {}
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name in ("VmRSS", "VmHWM"):
                values[name] = int(rest.split()[0]) * 1024
    return values["VmRSS"], values["VmHWM"]
