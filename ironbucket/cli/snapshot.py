"""`ironbucket snapshot`: write the state of this node into one file, beside a running node or without one."""

from __future__ import annotations

import argparse
import os

from ironbucket.cli import options
from ironbucket.cli.printing import amount
from ironbucket.errors import IronBucketError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to", metavar="DIR", help="where to write it (default: beside the log, where recovery finds it)"
    )
    options.add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    from ironbucket.node import snapshot
    from ironbucket.store.index import Index
    from ironbucket.store.paths import Layout

    settings = options.settings(arguments)
    path = Layout(settings.storage_path).index
    if not os.path.exists(path):
        raise IronBucketError(f"{path}: there is no index; a node that has served has one")
    index = Index(path)
    try:
        written = snapshot.take(index, arguments.to or os.path.dirname(settings.wal_path), settings.node_id)
    finally:
        index.close()
    print(f"{written}: {amount(os.path.getsize(written))}")
    return 0
