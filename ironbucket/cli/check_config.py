"""`ironbucket check-config`: the settings in force, where each comes from, and everything that is wrong."""

from __future__ import annotations

import argparse
import json

from ironbucket.cli import options
from ironbucket.config import FIELDS, REPLICATOR_NEEDS, SERVER_NEEDS, Loaded
from ironbucket.errors import ConfigurationError

_NEEDS = {"serve": SERVER_NEEDS, "replicate": REPLICATOR_NEEDS, "any": ()}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.add_argument(
        "--for",
        dest="purpose",
        choices=sorted(_NEEDS),
        default="serve",
        help="the command that must be able to start: serve (default), replicate, or any",
    )
    options.add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    loaded = options.inspected(arguments, _NEEDS[arguments.purpose])
    print(json.dumps(_document(loaded), indent=2) if arguments.json else _table(loaded))
    return ConfigurationError.exit_status if loaded.problems else 0


def _document(loaded: Loaded) -> dict[str, object]:
    shown = loaded.settings.shown()
    return {
        "valid": not loaded.problems,
        "problems": loaded.problems,
        "warnings": loaded.warnings,
        "settings": {
            name: {"value": shown[name], "origin": loaded.origins[name], "reloadable": about.reloadable}
            for name, about in FIELDS.items()
        },
    }


def _table(loaded: Loaded) -> str:
    shown = {name: options.shown(value) for name, value in loaded.settings.shown().items()}
    wide, wider = max(map(len, shown)), max(len(value) for value in shown.values())
    lines = [f"{name:{wide}}  {value:{wider}}  {loaded.origins[name]}" for name, value in shown.items()]
    lines += [f"\nwarning: {warning}" for warning in loaded.warnings]
    lines += [f"\nproblem: {problem}" for problem in loaded.problems]
    return "\n".join(lines)
