"""`ironbucket quota`: how much a bucket may hold. It is a configuration of the bucket, so every node gets it."""

from __future__ import annotations

import argparse
import json
import re
from typing import TYPE_CHECKING, Any

from ironbucket.cli import options
from ironbucket.cli.opened import opened
from ironbucket.cli.printing import amount, safe
from ironbucket.errors import ConfigurationError

if TYPE_CHECKING:
    from ironbucket.node import Node

_SIZE = re.compile(r"([0-9]{1,18})([KMGTP]?)(?:iB|B)?", re.IGNORECASE)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("get", "set", "remove"), help="show, set or remove the quota of a bucket")
    parser.add_argument("bucket", metavar="BUCKET")
    parser.add_argument("--bytes", dest="most_bytes", type=_size, metavar="SIZE", help="bytes, or 10G for 10 GiB")
    parser.add_argument("--objects", dest="most_objects", type=_count, metavar="N", help="versions, current or not")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options.add_settings(parser)


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError("must be a size such as 500000, 500M or 10G")
    return int(found[1]) << 10 * " KMGTP".index(found[2].upper() or " ")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise argparse.ArgumentTypeError("must be a number")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    from ironbucket.node.quota import KIND

    settings = options.settings(arguments)
    limits = {"bytes": arguments.most_bytes, "objects": arguments.most_objects}
    quota = {name: limit for name, limit in limits.items() if limit is not None}
    if bool(quota) != (arguments.what == "set"):
        raise ConfigurationError("quota set needs --bytes or --objects or both, and nothing else takes them")
    with opened(settings) as node:
        if arguments.what != "get":
            node.buckets.configure(arguments.bucket, KIND, quota or None)
        status = _status(node, arguments.bucket)
    print(json.dumps(status, indent=2) if arguments.json else _text(status))
    return 0


def _status(node: Node, name: str) -> dict[str, Any]:
    from ironbucket.node.quota import KIND
    from ironbucket.store import usage

    bucket = node.buckets.get(name)
    held = usage.of(node.index.reader, node.buckets.number(name))
    return {"bucket": name, "quota": bucket.configuration.get(KIND), "holds": held._asdict()}


def _text(status: dict[str, Any]) -> str:
    quota, holds = status["quota"] or {}, status["holds"]
    limits = [f"{amount(quota['bytes'])}"] if "bytes" in quota else []
    limits += [f"{quota['objects']} versions"] if "objects" in quota else []
    held = f"holds {amount(holds['bytes'])} in {holds['objects']} versions"
    return f"{safe(status['bucket'])}: {held}, quota {' and '.join(limits) or 'none'}"
