"""`ironbucket replicate`: ship what the peers lack, then exit. A systemd timer starts it every BATCH_INTERVAL."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from ironbucket import fsutil, journal
from ironbucket.cli import options
from ironbucket.cli.printing import safe
from ironbucket.config import REPLICATOR_NEEDS
from ironbucket.errors import AlreadyRunning, ConfigurationError

if TYPE_CHECKING:
    from ironbucket.config import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help="do not exit, go on every BATCH_INTERVAL")
    parser.add_argument(
        "--discard",
        metavar="NODE/EPOCH/SEQUENCE",
        help="deliver an entry that a peer refuses for its payload without it, so that those after it can follow",
    )
    parser.add_argument("--peer", metavar="HOST:PORT", help="the peer that refuses it, as in CLUSTER_NODES")
    options.add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = options.settings(arguments, REPLICATOR_NEEDS)
    journal.configure(settings.log_level, sys.stdout, (settings.secret_key, settings.cluster_secret))
    if arguments.discard:
        return _discard(settings, arguments)
    if not settings.cluster_nodes:
        return 0
    descriptor = alone(settings)
    from ironbucket.replication.run import replicate

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    state = replicate(settings, watch=arguments.watch, stop=stop)
    os.close(descriptor)
    return 1 if any(cursor.last_error or cursor.refused for cursor in state.peers.values()) else 0


def _discard(settings: Settings, arguments: argparse.Namespace) -> int:
    from ironbucket.replication.discard import discard

    if not arguments.peer:
        raise ConfigurationError("--discard needs the peer that refuses the entry: --peer HOST:PORT")
    gone = discard(settings, arguments.discard, arguments.peer)
    name = safe(f"{gone['bucket']}/{gone['key']}")
    print(f"{gone['place']} was delivered to {gone['peer']} without its payload: {name} has no bytes there")
    return 0


def alone(settings: Settings) -> int:
    """One replicator per node. flock(2), not filelock: importing that costs half of what this process may."""
    path = settings.state_path + ".lock"
    fsutil.make_directory(os.path.dirname(path))
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyRunning(f"Another replicator of this node is at work (it holds {path}).") from None
    return descriptor
