"""`ironbucket recover`: make the index again from the log."""

from __future__ import annotations

import argparse
import sys

from ironbucket import journal
from ironbucket.cli import options
from ironbucket.cli.printing import Progress


def arguments(parser: argparse.ArgumentParser) -> None:
    options.add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    from ironbucket.node.recover import recover

    settings = options.settings(arguments)
    journal.configure(settings.log_level, sys.stderr, (settings.secret_key, settings.cluster_secret))
    with Progress() as progress:
        done = recover(settings, progress=progress)
    print(f"node {done.identity.node}, epoch {done.identity.epoch}: {done.replayed} records replayed")
    for path in done.set_aside:
        print(f"the end of the log was cut short by a crash; its remnant is kept in {path}")
    for what in done.unknown:
        print(f"not known: {what}")
    return 0
