"""`ironbucket verify`: prove that the nodes agree and that every payload is there, or name what is not so.

Exit status: 0 when nothing was found, or all of it was mended (--repair); 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ironbucket import journal
from ironbucket.cli import options
from ironbucket.cli.printing import Progress, safe
from ironbucket.errors import AlreadyRunning, IronBucketError

if TYPE_CHECKING:
    from ironbucket.config import Settings
    from ironbucket.replication.run import Local

_PATIENCE = 10.0  # seconds


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--payloads", action="store_true", help="read every payload and compare its checksum")
    parser.add_argument(
        "--repair", action="store_true", help="ship what peers lack, fetch payloads that are bad here from a peer"
    )
    parser.add_argument("--bucket", metavar="NAME", help="look at this bucket only")
    parser.add_argument(
        "--wait",
        type=_seconds,
        metavar="SECONDS",
        help="for which writes under way may keep two nodes apart (default: five BATCH_INTERVALs, at least 10)",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options.add_settings(parser)


def _seconds(text: str) -> float:
    try:
        return max(float(text), 0.0)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a number of seconds") from None


@dataclass(slots=True)
class Finding:
    """Something that is not as it should be. `kind` is a word for programs, `what` a sentence."""

    kind: str
    what: str
    peer: str = ""
    bucket: str = ""
    key: str = ""
    version: str = ""
    mended: str = ""  # how, once it is


def run(arguments: argparse.Namespace) -> int:
    from ironbucket.replication.run import Local

    settings = options.settings(arguments)
    journal.configure("error", sys.stderr, (settings.secret_key, settings.cluster_secret))
    counts: dict[str, int] = {"keys": 0, "payloads": 0}
    found = []
    with Progress() as progress:
        if arguments.repair and settings.cluster_nodes:
            _ship(settings)
        local = Local.open(settings)
        try:
            for finding in _findings(settings, local, arguments, progress, counts):
                found.append(finding)
                if not arguments.json:
                    progress.clear()
                    print(_line(finding), flush=True)
        finally:
            local.close()
    open_ones = [one for one in found if not one.mended]
    if arguments.json:
        document: dict[str, Any] = {
            "node": settings.node_id,
            "agrees": not open_ones,
            "peers": list(settings.cluster_nodes),
            "compared": counts,
            "findings": [asdict(one) for one in found],
        }
        print(json.dumps(document, indent=2))
    else:
        print(_summary(settings, arguments, counts, found, open_ones))
    return 1 if open_ones else 0


def _findings(
    settings: Settings, local: Local, arguments: argparse.Namespace, progress: Progress, counts: dict[str, int]
) -> Iterator[Finding]:
    for address in settings.cluster_nodes:
        yield from _differences(settings, local, address, arguments, progress, counts)
    yield from _damages(settings, local, arguments, progress, counts)


def _differences(
    settings: Settings,
    local: Local,
    address: str,
    arguments: argparse.Namespace,
    progress: Progress,
    counts: dict[str, int],
) -> Iterator[Finding]:
    from ironbucket.replication.compare import Comparison
    from ironbucket.replication.peer import Peer

    peer = Peer(address, settings.cluster_secret, local.node, timeout=60)
    wait = max(_PATIENCE, 5 * settings.batch_interval / 1000) if arguments.wait is None else arguments.wait
    comparison = Comparison(local, peer, wait=wait, progress=progress)
    try:
        for one in comparison.differences(arguments.bucket):
            yield Finding(one.kind, one.what, one.peer, one.bucket, one.key)
    except IronBucketError as error:
        yield Finding("unreachable", f"could not be compared: {error.message}", address)
    finally:
        counts["keys"] += comparison.compared
        peer.close()


def _damages(
    settings: Settings, local: Local, arguments: argparse.Namespace, progress: Progress, counts: dict[str, int]
) -> Iterator[Finding]:
    from ironbucket.replication.mend import NotMended, mend
    from ironbucket.store import check
    from ironbucket.store.payloads import Payloads

    payloads = Payloads(local.layout)
    total = check.count(local.index, arguments.bucket)
    for version in check.live_versions(local.index, arguments.bucket):
        counts["payloads"] += 1
        progress("reading payloads" if arguments.payloads else "looking at payloads", counts["payloads"], total)
        for damage in check.check(local.index, payloads, version, read=arguments.payloads):
            finding = Finding(damage.kind, damage.what, bucket=version.bucket, key=version.key, version=version.version)
            if arguments.repair:
                try:
                    finding.mended = f"fetched from {mend(settings, payloads, damage)}"
                except NotMended as error:
                    finding.what += f"; not mended: {error.message}"
            yield finding


def _ship(settings: Settings) -> None:
    """What the peers lack, delivered now. A replicator at work does the same."""
    import os

    from ironbucket.cli.replicate import alone
    from ironbucket.replication.run import replicate

    try:
        descriptor = alone(settings)
    except AlreadyRunning:
        return
    replicate(settings)
    os.close(descriptor)


def _line(finding: Finding) -> str:
    where = safe(f"{finding.bucket}/{finding.key}" if finding.key else finding.bucket)
    about = " ".join(filter(None, (finding.peer, where)))
    mended = f" (mended: {finding.mended})" if finding.mended else ""
    return f"{finding.kind:<11} {about}: {safe(finding.what)}{mended}" if about else f"{finding.kind}: {finding.what}"


def _summary(
    settings: Settings,
    arguments: argparse.Namespace,
    counts: dict[str, int],
    found: list[Finding],
    open_ones: list[Finding],
) -> str:
    peers = len(settings.cluster_nodes)
    read = "read" if arguments.payloads else "looked at"
    looked = f"{counts['keys']} keys compared with {peers} peer(s), {counts['payloads']} payloads {read}"
    if not found:
        return f"{looked}: nothing is wrong"
    mended = len(found) - len(open_ones)
    return f"{looked}: {len(open_ones)} finding(s)" + (f", {mended} mended" if mended else "")
