"""`ironbucket status`: what this node holds, how far its logs go and are applied, and what waits for each peer.

Exit status: 0; 1 when a peer has a problem (see `replication.backlog`), so that a monitor needs nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from ironbucket.cli import options
from ironbucket.cli.printing import amount, moment, safe

if TYPE_CHECKING:
    from ironbucket.config import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options.add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    status = gather(options.settings(arguments))
    print(json.dumps(status, indent=2) if arguments.json else _text(status))
    return 0 if status["healthy"] else 1


def gather(settings: Settings) -> dict[str, Any]:
    """What is known without asking any other process. Raises LogDamaged, IronBucketError."""
    peers = _peers(settings)
    return {
        "node": settings.node_id,
        "healthy": not any(peer["problems"] for peer in peers),
        "running": _running(settings),
        "log": _log(settings),
        "index": _index(settings),
        "storage": _storage(settings),
        "peers": peers,
    }


def _peers(settings: Settings) -> list[dict[str, Any]]:
    if not settings.cluster_nodes:
        return []
    from ironbucket.replication.backlog import report

    return report(settings)


def _running(settings: Settings) -> bool:
    """Whether a process serves or recovers the node: it holds the lock. The look itself holds it for microseconds."""
    import fcntl

    path = os.path.join(os.path.dirname(settings.wal_path), "node.lock")
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _log(settings: Settings) -> dict[str, Any] | None:
    from ironbucket.wal.reader import Torn, tail
    from ironbucket.wal.segment import segments

    if not settings.wal_enabled or not os.path.exists(settings.wal_path):
        return None
    try:
        header, last, _ = tail(settings.wal_path)
    except Torn as torn:
        # of a running node: a write under way; of a stopped one: the next start sets it aside
        return {"path": settings.wal_path, "incomplete_from": torn.offset}
    files = segments(settings.wal_path, header.epoch)
    return {
        "path": settings.wal_path,
        "epoch": header.epoch,
        "sequence": last.record.sequence if last else header.first - 1,
        "chain": last.chain if last else header.chain,
        "written_ms": last.record.ms if last else None,
        "segments": len(files),
        "bytes": sum(_size(segment.path) for segment in files),
    }


def _size(path: str) -> int:
    with contextlib.suppress(FileNotFoundError):  # compressed or removed since it was listed
        return os.path.getsize(path)
    return 0


def _index(settings: Settings) -> dict[str, Any] | None:
    from ironbucket.node import heads
    from ironbucket.store.index import Index
    from ironbucket.store.paths import Layout

    path = Layout(settings.storage_path).index
    if not os.path.exists(path):
        return None
    index = Index(path)
    try:
        vector = [
            {"node": head.node, "epoch": head.epoch, "sequence": head.sequence, "chain": head.chain}
            for head in heads.load_all(index.reader)
        ]
        (conflicts,) = index.reader.execute("SELECT count(*) FROM conflicts").fetchone()
    finally:
        index.close()
    return {"path": path, "bytes": _size(path), "vector": vector, "conflicts": conflicts}


def _storage(settings: Settings) -> dict[str, Any] | None:
    if not os.path.isdir(settings.storage_path):
        return None
    space = os.statvfs(settings.storage_path)
    return {
        "path": settings.storage_path,
        "bytes_free": space.f_bavail * space.f_frsize,
        "bytes_total": space.f_blocks * space.f_frsize,
    }


def _text(status: dict[str, Any]) -> str:
    log, index, storage = status["log"], status["index"], status["storage"]
    lines = [f"node     {status['node']}, {'running' if status['running'] else 'not running'}"]
    if log is None:
        lines.append("log      none")
    elif "incomplete_from" in log:
        lines.append(f"log      {log['path']}: the last write is incomplete from byte {log['incomplete_from']} on")
    else:
        written = f", written {moment(log['written_ms'])}" if log["written_ms"] else ""
        lines.append(f"log      {log['path']}: epoch {log['epoch']}, sequence {log['sequence']}{written}")
        lines.append(f"         {log['segments']} segment(s), {amount(log['bytes'])}")
    if index is None:
        lines.append("index    none: the next start makes it from the log")
    else:
        lines.append(f"index    {index['path']}: {amount(index['bytes'])}, {index['conflicts']} conflict(s)")
        lines += [
            f"applied  {head['node']}, epoch {head['epoch']}: up to sequence {head['sequence']}"
            for head in index["vector"]
        ]
    if storage is None:
        lines.append("storage  none")
    else:
        free, total = storage["bytes_free"], storage["bytes_total"]
        lines.append(f"storage  {storage['path']}: {amount(free)} of {amount(total)} free")
    for peer in status["peers"]:
        lines += _peer_text(peer)
    return "\n".join(lines)


def _peer_text(peer: dict[str, Any]) -> list[str]:
    backlog = peer["backlog"]
    lines = [f"peer     {peer['address']}{', ' + peer['node'] if peer['node'] else ''}"]
    if backlog["entries"]:
        about = "" if backlog["exact"] else "about "
        waiting = (
            f"{backlog['entries']} entries, {about}{amount(backlog['bytes'])}, the oldest {backlog['seconds']} s old"
        )
        lines.append(f"         backlog {waiting}")
    else:
        lines.append("         backlog 0 entries")
    if peer["last_contact_ms"]:
        lines.append(f"         last contact {moment(peer['last_contact_ms'])}, its clock {peer['skew_ms']:+d} ms")
    if peer["last_error"]:
        lines.append(f"         last error {moment(peer['last_error_ms'])}: {safe(peer['last_error'])}")
    lines += [
        f"         discarded {one['place']}: {safe(one['bucket'] + '/' + one['key'])}" for one in peer["discarded"]
    ]
    lines += [f"         PROBLEM {safe(problem)}" for problem in peer["problems"]]
    return lines
