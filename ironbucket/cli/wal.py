"""`ironbucket wal`: the log for people. All but `repair` only read; a running node goes on undisturbed."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from itertools import takewhile
from typing import TYPE_CHECKING

from ironbucket.cli import options
from ironbucket.cli.printing import Progress, amount, moment, safe
from ironbucket.errors import IronBucketError, LogDamaged

if TYPE_CHECKING:
    from ironbucket.config import Settings
    from ironbucket.wal.reader import Line
    from ironbucket.wal.repair import Report

_POLL = 0.2  # seconds between two looks at a log that is followed


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    tail = actions.add_parser("tail", help="print the newest records, and with --follow those to come")
    tail.add_argument("-n", "--lines", type=_count, default=10, metavar="N", help="how many (default: 10)")
    tail.add_argument("-f", "--follow", action="store_true", help="go on printing as records are written")
    tail.set_defaults(action=_tail)

    show = actions.add_parser("show", help="print records, all or some")
    show.add_argument("range", nargs="?", type=_range, metavar="SEQUENCE[..SEQUENCE]", help="one record, or from .. to")
    show.add_argument("--from", dest="first", type=_count, default=1, metavar="SEQUENCE", help="the first one")
    show.add_argument("--to", dest="last", type=_count, metavar="SEQUENCE", help="the last one")
    show.add_argument("--bucket", help="only of this bucket")
    show.add_argument("--key", help="only of this key")
    show.set_defaults(action=_show)

    for action in (tail, show):
        action.add_argument("--node", help="of this node's copy of that node's log (default: its own log)")
        action.add_argument("--epoch", help="of this epoch (default: the newest)")
        form = action.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="print each record as a JSON object")
        form.add_argument("--raw", action="store_true", help="print each line as it is in the file")
        options.add_settings(action)

    verify = actions.add_parser("verify", help="check every line of every log that is kept here")
    verify.set_defaults(action=_verify)
    repair = actions.add_parser("repair", help="cut damaged logs where the damage begins; what is cut is kept")
    repair.set_defaults(action=_repair)
    for action in (verify, repair):
        action.add_argument("--json", action="store_true", help="print a JSON object")
        options.add_settings(action)


def run(arguments: argparse.Namespace) -> int:
    status: int | None = arguments.action(arguments)
    return status or 0


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError("must be a whole number")
    return int(text)


def _range(text: str) -> tuple[int, int | None]:
    first, dots, last = text.partition("..")
    low = _count(first or "1")
    return low, (_count(last) if last else None) if dots else low


def _tail(arguments: argparse.Namespace) -> None:
    from ironbucket.wal.reader import tail

    path, epoch = _stream(options.settings(arguments), arguments)
    header, last, _ = tail(path)
    end = last.record.sequence if last else header.first - 1
    for line in _lines(path, epoch, end - arguments.lines + 1):
        _print(line, arguments)
        end = line.record.sequence
    while arguments.follow:
        sys.stdout.flush()
        time.sleep(_POLL)
        for line in _lines(path, epoch, end + 1):
            _print(line, arguments)
            end = line.record.sequence


def _show(arguments: argparse.Namespace) -> None:
    if arguments.range:
        arguments.first, arguments.last = arguments.range
    path, epoch = _stream(options.settings(arguments), arguments)
    lines = _lines(path, epoch, arguments.first)
    if arguments.last is not None:
        lines = takewhile(lambda line: line.record.sequence <= arguments.last, lines)
    for line in lines:
        record = line.record
        if arguments.bucket in (None, record.bucket) and arguments.key in (None, record.key):
            _print(line, arguments)


def _verify(arguments: argparse.Namespace) -> int:
    from ironbucket.wal.repair import verify

    settings = options.settings(arguments)
    with Progress() as progress:
        report = verify(settings.wal_path, progress)
    _print_report(report, arguments)
    return LogDamaged.exit_status if report.damages else 0


def _repair(arguments: argparse.Namespace) -> int:
    from ironbucket.node.recover import running_alone
    from ironbucket.wal.repair import repair

    settings = options.settings(arguments)
    with running_alone(settings), Progress() as progress:
        report = repair(settings.wal_path, progress)
    _print_report(report, arguments)
    if arguments.json:
        return 0
    for path in report.restored:
        print(f"{path}: the header was written again, no record is lost")
    for cut in report.cuts:
        print(f"kept in {cut.kept}: what followed byte {cut.offset}")
        if cut.sequences:
            first, last = cut.sequences
            print(
                f"  with {cut.records} whole records, {first} to {last}, which are no part of the log any more. "
                "A peer that has them brings them back"
            )
    if any(cut.stream.own and cut.stream.damages for cut in report.cuts):
        print("the next start begins a new epoch, and makes the index anew where it knows more than the log")
    if not report.cuts and not report.restored:
        print("nothing to repair")
    return 0


def _print_report(report: Report, arguments: argparse.Namespace) -> None:
    if arguments.json:
        from dataclasses import asdict

        print(json.dumps(asdict(report), indent=2))
        return
    for stream in report.streams:
        kept = f"records {stream.first} to {stream.last}" if stream.records else "no records"
        print(
            f"{stream.node}/{stream.epoch}: {kept}, {stream.records} whole in {stream.segments} segments, "
            f"{amount(stream.size)}"
        )
        for damage in stream.damages:
            print(f"  {damage.path}: damaged at byte {damage.offset}, record {damage.sequence}: {safe(damage.reason)}")
        if stream.damages:
            print(f"  {stream.behind} whole records lie behind the first damage")
        if stream.torn:
            print(
                f"  {stream.torn.path}: incomplete from byte {stream.torn.offset} on, an append that was cut short "
                "(the next start sets it aside)"
            )
    if not report.streams:
        print("there is no log yet")


def _stream(settings: Settings, arguments: argparse.Namespace) -> tuple[str, str]:
    """The active segment and the epoch of the log that was asked for."""
    from ironbucket.wal.segment import read_header

    own = None
    if os.path.exists(settings.wal_path):
        own, _ = read_header(settings.wal_path)
    node = arguments.node or settings.node_id
    if own is not None and node == own.node and arguments.epoch in (None, own.epoch):
        return settings.wal_path, own.epoch
    place = os.path.join(os.path.dirname(settings.wal_path), "peers", node)
    names = os.listdir(place) if os.path.isdir(place) else []
    epochs = sorted(name.removesuffix(".log") for name in names if name.endswith(".log") and "-" not in name)
    if arguments.epoch in epochs:
        return os.path.join(place, f"{arguments.epoch}.log"), arguments.epoch
    if arguments.epoch is None and epochs:
        return os.path.join(place, f"{epochs[-1]}.log"), epochs[-1]
    if arguments.epoch or arguments.node:
        known = f"; there is {', '.join(epochs)}" if epochs else ""
        raise IronBucketError(f"no log of node {node}{' in that epoch' if arguments.epoch else ''} in {place}{known}")
    raise IronBucketError(
        f"{settings.wal_path}: there is no log yet: WAL_PATH names another file, or nothing was written"
    )


def _lines(path: str, epoch: str, first: int) -> Iterator[Line]:
    """The records from `first` on, or from the oldest that is kept."""
    from ironbucket.wal.reader import oldest, read_stream

    kept = oldest(path, epoch)
    return read_stream(path, epoch, max(first, kept or 1, 1) - 1)


def _print(line: Line, arguments: argparse.Namespace) -> None:
    record = line.record
    if arguments.raw:
        sys.stdout.buffer.write(line.raw)
    elif arguments.json:
        document = {
            "operation": record.operation,
            "node": record.node,
            "epoch": record.epoch,
            "sequence": record.sequence,
            "ms": record.ms,
            "bucket": record.bucket,
            "key": record.key,
            "size": record.size,
            "etag": record.etag,
            "attributes": record.attributes,
            "chain": line.chain,
        }
        print(json.dumps(document))
    else:
        name = safe(record.bucket if record.key is None else f"{record.bucket}/{record.key}")
        rest = "" if record.size is None else f"  {record.size}  {safe(record.etag or '')}"
        print(f"{record.sequence:>8}  {moment(record.ms)}  {record.operation:<15}  {name}{rest}")
