"""`ironbucket scrub`: read back what is on this disk. A systemd timer starts it daily.

Exit status: 0; 1 when something is wrong, each thing logged; `verify --repair` mends payloads.
"""

from __future__ import annotations

import argparse
import logging
import sys

from ironbucket import journal
from ironbucket.cli import options
from ironbucket.cli.printing import Progress, amount

_log = logging.getLogger("ironbucket.scrub")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--all", action="store_true", help="read every payload, not only the share that is due today (a 28th)"
    )
    options.add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    from ironbucket.node.scrub import SHARES, Counts, day_number, scrub
    from ironbucket.replication.run import Local
    from ironbucket.store.payloads import Payloads

    settings = options.settings(arguments)
    journal.configure(settings.log_level, sys.stdout, (settings.secret_key, settings.cluster_secret))
    local, counts, wrong = Local.open(settings), Counts(), 0
    shares = 1 if arguments.all else SHARES
    try:
        with Progress() as progress:
            payloads = Payloads(local.layout)
            for finding in scrub(local.index, local.files, payloads, counts, progress, day=day_number(), shares=shares):
                wrong += 1
                _log.error("%s: %s", finding.kind, finding.what)
    finally:
        local.close()
    _log.info(
        "%d lines of logs read, %d payloads looked at, %d of them (%s) read, %d leftovers removed: %d finding(s)",
        counts.lines,
        counts.payloads,
        counts.read,
        amount(counts.bytes),
        counts.removed,
        wrong,
    )
    if wrong:
        _log.error("'ironbucket verify --payloads --repair' fetches bad payloads from the peers")
    return 1 if wrong else 0
