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
from ironbucket.config import REPLICATOR_NEEDS
from ironbucket.errors import AlreadyRunning

if TYPE_CHECKING:
    from ironbucket.config import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help="do not exit, go on every BATCH_INTERVAL")
    options.add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = options.settings(arguments, REPLICATOR_NEEDS)
    journal.configure(settings.log_level, sys.stdout, (settings.secret_key, settings.cluster_secret))
    if not settings.cluster_nodes:
        return 0
    descriptor = _alone(settings)
    from ironbucket.replication.run import replicate

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    state = replicate(settings, watch=arguments.watch, stop=stop)
    os.close(descriptor)
    return 1 if any(cursor.last_error for cursor in state.peers.values()) else 0


def _alone(settings: Settings) -> int:
    """One replicator per node. flock(2), not filelock: importing that costs half of what this process may."""
    path = settings.state_path + ".lock"
    fsutil.make_directory(os.path.dirname(path))
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyRunning(f"Another replicator of this node is at work (it holds {path}).") from None
    return descriptor
