"""`ironbucket explain BUCKET/KEY`: who wrote it, through which node, when, what it replaced, what lost to it."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from ironbucket.cli import options
from ironbucket.cli.printing import Progress, amount, moment, safe
from ironbucket.config import values
from ironbucket.errors import ConfigurationError

if TYPE_CHECKING:
    from ironbucket.config import Settings

_SEARCH = 1 << 30


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="BUCKET/KEY", help="what to explain")
    parser.add_argument(
        "--search",
        type=_size,
        default=_SEARCH,
        metavar="BYTES",
        help="of logs that are searched, the newest first (default: 1 GiB)",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options.add_settings(parser)


def _size(text: str) -> int:
    try:
        return values.size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(arguments: argparse.Namespace) -> int:
    from ironbucket.node.explain import explain
    from ironbucket.replication.run import Local

    settings = options.settings(arguments)
    bucket, _, key = arguments.name.partition("/")
    if not key:
        raise ConfigurationError(f"{arguments.name!r} is not BUCKET/KEY")
    local = Local.open(settings)
    try:
        with Progress() as progress:
            story = explain(local.index, local.files, bucket, key, arguments.search, progress)
    finally:
        local.close()
    print(json.dumps(story, indent=2) if arguments.json else _text(story, _names(settings)))
    return 0 if story["entries"] or story["records"] else 1


def _names(settings: Settings) -> dict[str, str]:
    """The names of the accounts behind the owners' ids."""
    from ironbucket.s3.credentials import DEFAULT_ACCOUNT, owner_id

    shown = f"{DEFAULT_ACCOUNT} ({settings.access_key})" if settings.access_key else DEFAULT_ACCOUNT
    return {owner_id(DEFAULT_ACCOUNT): shown}


def _text(story: dict[str, Any], names: dict[str, str]) -> str:
    name = safe(f"{story['bucket']}/{story['key']}")
    records = {one["version"]: one for one in story["records"]}
    lines = []
    current = story["current"]
    if current:
        lines.append(f"{name}: {current['size']} bytes, ETag {current['etag']}, version {current['version']}")
        lines.append(f"  written   {_when(current)}{_by(current, names)}")
        replaced = records.get(current["version"], {}).get("replaced")
        if replaced:
            lines.append(f"  replaced  {_what(replaced, records)}")
    elif story["entries"]:
        newest = story["entries"][0]
        lines.append(f"{name}: deleted")
        lines.append(f"  deleted   {_when(newest)}")
        replaced = records.get(newest["version"], {}).get("replaced")
        if replaced:
            lines.append(f"  replaced  {_what(replaced, records)}")
    elif story["records"]:
        lines.append(f"{name}: nothing is there any more")
    else:
        lines.append(f"{name}: this node knows nothing of it")
    for one in story["conflicts"]:
        winner = one["lost_to"]
        against = f", lost to {winner['version']} of {winner['node']}" if winner else ""
        what = (
            f"{one['operation']} of {one['node']}, {moment(one['ms'])}, version {one['version']}, {one['size']} bytes"
        )
        lines.append(f"  conflict  {what}{against}")
    if story["records"]:
        lines.append("in the logs, newest first:")
        lines += [f"  {_line(one)}" for one in story["records"]]
    searched = story["searched"]
    rest = "" if searched["complete"] else f" of {amount(searched['of'])}; --search looks further"
    lines.append(f"searched {amount(searched['bytes'])}{rest}")
    return "\n".join(lines)


def _when(one: dict[str, Any]) -> str:
    return f"{moment(one['ms'])} through {one['node']} (record {one['node']}/{one['epoch']}/{one['sequence']})"


def _by(one: dict[str, Any], names: dict[str, str]) -> str:
    return f" by {names.get(one['owner'], one['owner'])}" if one["owner"] else ""


def _what(version: str, records: dict[str, dict[str, Any]]) -> str:
    one = records.get(version)
    if one is None:
        return f"version {version}"
    size = f"{one['size']} bytes" if one["size"] is not None else "a deletion"
    return f"version {version} of {one['node']}, {moment(one['ms'])}, {size}"


def _line(one: dict[str, Any]) -> str:
    size = "" if one["size"] is None else f", {one['size']} bytes"
    version = f"  {one['version']}" if one["version"] else ""
    place = f"{one['node']} {one['sequence']}"
    return f"{moment(one['ms'])}  {place:<14} {one['operation']:<15}{version}{size}: {one['outcome']}"
