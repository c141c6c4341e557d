"""`ironbucket lifecycle`: one pass of the buckets' lifecycle rules, then exit. A systemd timer starts it once a day.

Each node ends its own incomplete uploads; objects are expired by one node for all (docs/adr/lifecycle-runs-once.md).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from ironbucket import journal
from ironbucket.cli import options
from ironbucket.cli.opened import opened
from ironbucket.cli.printing import amount, safe

if TYPE_CHECKING:
    from ironbucket.node.expire import Expired


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, do nothing")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options.add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    from ironbucket.clock import wall_ms
    from ironbucket.node import expire
    from ironbucket.replication.first import first_node

    settings = options.settings(arguments)
    journal.configure(settings.log_level, sys.stderr, (settings.secret_key, settings.cluster_secret))
    first = first_node(settings)
    found: list[Expired] = []
    counts: Counter[str] = Counter()
    size = 0
    with opened(settings) as node:
        mine = first == settings.node_id
        for one in expire.run(node, wall_ms(), dry_run=arguments.dry_run, objects=mine or arguments.dry_run):
            counts[one.action] += 1
            size += one.size
            if arguments.json:
                found.append(one)
            else:
                print(f"{one.action:<13} {safe(one.bucket)}/{safe(one.key)} {one.version_id} (rule {safe(one.rule)})")
    if arguments.json:
        document = {
            "node": settings.node_id,
            "expires_objects": first,
            "dry_run": arguments.dry_run,
            "done": [asdict(one) for one in found],
        }
        print(json.dumps(document, indent=2))
        return 0
    done = ", ".join(f"{action} {count}" for action, count in sorted(counts.items())) or "nothing was due"
    print(f"{'would do' if arguments.dry_run else 'done'}: {done}; {amount(size)}")
    if not mine:
        print(f"objects are expired by {safe(first)}")
    return 0
