"""`ironbucket conflicts`: the ledger of writes that lost to a concurrent one, newest first."""

from __future__ import annotations

import argparse
import json

from ironbucket.cli import options
from ironbucket.cli.printing import moment, safe


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bucket", metavar="NAME", help="of this bucket only")
    parser.add_argument("--json", action="store_true", help="print a JSON array")
    options.add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    from ironbucket.node.explain import conflicts
    from ironbucket.replication.run import Local

    local = Local.open(options.settings(arguments))
    try:
        found = conflicts(local.index.reader, arguments.bucket)
    finally:
        local.close()
    if arguments.json:
        print(json.dumps(found, indent=2))
        return 0
    for one in found:
        name = safe(f"{one['bucket']}/{one['key']}")
        print(
            f"{moment(one['ms'])}  {one['node']}  {one['operation']:<6}  {name}  {one['version']}  {one['size']} bytes"
        )
    print(f"{len(found)} write(s) lost to a concurrent one" + ("; 'explain BUCKET/KEY' tells more" if found else ""))
    return 0
