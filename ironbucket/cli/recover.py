"""`ironbucket recover`: make the index anew from the log, or log and index from the payload files alone."""

from __future__ import annotations

import argparse
import sys

from ironbucket import journal
from ironbucket.cli import options
from ironbucket.cli.printing import Progress


def arguments(parser: argparse.ArgumentParser) -> None:
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--from-files",
        action="store_true",
        help="neither log nor index can be used: take what the payload files tell, set the log aside, begin a new one",
    )
    how.add_argument("--new-epoch", action="store_true", help="go on in a new epoch: the log came from an older copy")
    options.add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    from ironbucket.node.recover import recover

    settings = options.settings(arguments)
    journal.configure(settings.log_level, sys.stderr, (settings.secret_key, settings.cluster_secret))
    with Progress() as progress:
        if arguments.from_files:
            from ironbucket.node.from_files import from_files
            from ironbucket.s3.credentials import DEFAULT_ACCOUNT, owner_id

            done, what = from_files(settings, owner=owner_id(DEFAULT_ACCOUNT), progress=progress), "written"
        else:
            after = None
            if arguments.new_epoch and settings.cluster_nodes and settings.wal_enabled:
                from ironbucket.replication.agree import parting

                after = parting(settings)
            done, what = recover(settings, progress=progress, new_epoch=arguments.new_epoch, after=after), "replayed"
    print(f"node {done.identity.node}, epoch {done.identity.epoch}: {done.replayed} records {what}")
    if done.identity.began:
        print(f"a new epoch was begun: {done.identity.began}")
    for path in done.set_aside:
        print(f"set aside: {path}")
    for what in done.unknown:
        print(f"not known: {what}")
    return 0
