"""`ironbucket check-config`: the settings in force, where each comes from, and everything that is wrong."""

from __future__ import annotations

import argparse
import json
import os

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
    _check_users(loaded)
    print(json.dumps(_document(loaded), indent=2) if arguments.json else _table(loaded))
    return ConfigurationError.exit_status if loaded.problems else 0


def _check_users(loaded: Loaded) -> None:
    """Add what is wrong with the file of users."""
    path = loaded.settings.users_file
    if not path:
        return
    from ironbucket.s3 import users

    try:
        users.load(path)
        if os.stat(path).st_mode & 0o004:
            loaded.warnings.append(f"{path} holds secrets and every user can read it: chmod 600 {path}")
    except FileNotFoundError:
        loaded.warnings.append(f"USERS_FILE={path} is not there: there are no users beside the account")
    except OSError as error:
        loaded.problems.append(f"USERS_FILE={path} cannot be read: {error.strerror}")
    except ConfigurationError as error:
        loaded.problems.append(error.message)


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
