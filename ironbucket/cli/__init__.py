"""The command line: one module per command, and the only place where the layers are wired together.

A command's module has `arguments(parser)` and `run(arguments) -> exit status`. It is imported when its command is
given, and imports in turn what it needs when it runs: the replicator starts every few seconds.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from ironbucket.cli import options
from ironbucket.errors import ConfigurationError, IronBucketError

_INTERRUPTED = 130  # as a shell reports SIGINT
_READER_GONE = 141  # as a shell reports SIGPIPE
_BUG = 70  # EX_SOFTWARE


class Command(NamedTuple):
    """A subcommand: its name, the module below this package, and its line in the help."""

    name: str
    module: str
    help: str


COMMANDS = (
    Command("serve", "serve", "run the node: the S3 server with its log and store"),
    Command("check-config", "check_config", "show the settings in force, where each comes from, and what is wrong"),
    Command("replicate", "replicate", "ship what the peers lack, then exit"),
    Command("status", "status", "show what this node holds, how far its log goes, and what waits for each peer"),
    Command("verify", "verify", "prove that the nodes agree and that every payload is there, or name what is not so"),
    Command("scrub", "scrub", "read logs and payloads back and compare them with their checksums, a share each day"),
    Command("explain", "explain", "tell who wrote a key, when and where, what that replaced, and what lost to it"),
    Command("conflicts", "conflicts", "list the writes that lost to a concurrent one"),
    Command("user", "user", "add, list and remove users, rotate their keys"),
    Command("lifecycle", "lifecycle", "expire what the buckets' lifecycle rules say is due, then exit"),
    Command("quota", "quota", "show, set or remove how much a bucket may hold"),
    Command("wal", "wal", "read the log: tail, show"),
    Command("recover", "recover", "make the index again from the log; the node must not be running"),
    Command("resync", "resync", "have this node's state brought anew by a peer, while it serves"),
    Command("snapshot", "snapshot", "write the state of this node into one file, while it serves or not"),
    Command("local", "local", "try it: run a cluster on this machine, with keys and folders made for it"),
    Command("version", "version", "print the version"),
)


class _LazyParser(argparse.ArgumentParser):
    """A parser that learns its arguments when it is used: one run needs those of one command."""

    def __init__(self, command: Command | None = None, **more: Any) -> None:
        super().__init__(allow_abbrev=False, **more)
        self._command = command

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._command is not None:
            module = importlib.import_module(f"{__name__}.{self._command.module}")
            self._command = None
            module.arguments(self)
            self.set_defaults(run=module.run)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """One line: the usage of a command with forty flags would push it off the screen."""
        self.exit(ConfigurationError.exit_status, f"ironbucket: {message}. '{self.prog} --help' shows the arguments\n")


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = _LazyParser(prog="ironbucket", description="S3 on your own machines: every change is one line in a log.")
    top.add_argument("--version", action="version", version=_version())
    options.add_settings(top, hidden=True)  # accepted before the command, shown in the help of each command
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        commands.add_parser(command.name, help=command.help, description=_sentence(command.help), command=command)
    return top


def _version() -> str:
    from ironbucket import __version__

    return f"ironbucket {__version__}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit status: 0, or what the error's class says (`ironbucket.errors`)."""
    debug = os.environ.get("LOG_LEVEL", "").lower() == "debug"
    try:
        arguments = parser().parse_args(argv)
        debug = debug or getattr(arguments, "log_level", "").lower() == "debug"
        status: int = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # the reader (head, less) has left; the interpreter's own flush at exit must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_GONE
    except IronBucketError as error:
        return _report(error.message, error.exit_status, debug)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _report(f"{place}{error.strerror or error}", 1, debug)
    except Exception as error:  # noqa: BLE001 - a person at a terminal gets one line, and the traceback on demand
        return _report(f"internal error: {type(error).__name__}: {error}. LOG_LEVEL=debug shows where", _BUG, debug)


def _report(message: str, status: int, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exc()
    print(f"ironbucket: {message}", file=sys.stderr)
    return status
