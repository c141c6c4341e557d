"""`ironbucket resync`: have this node's state brought anew by a peer, and wait until it has arrived."""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING

from ironbucket.cli import options
from ironbucket.cli.printing import Progress
from ironbucket.config import REPLICATOR_NEEDS
from ironbucket.errors import ConfigurationError, IronBucketError

if TYPE_CHECKING:
    from ironbucket.config import Settings

_POLL = 0.5  # seconds


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        dest="source",
        metavar="HOST:PORT",
        help="the peer whose state is taken, as in CLUSTER_NODES (default: the first that answers)",
    )
    parser.add_argument("--no-wait", action="store_true", help="ask for it, and do not wait until it has arrived")
    options.add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    from ironbucket.node import resync

    settings = options.settings(arguments, REPLICATOR_NEEDS)
    if not settings.cluster_nodes:
        raise ConfigurationError("CLUSTER_NODES names no other node: there is nobody to take the state from")
    if arguments.source and arguments.source not in settings.cluster_nodes:
        raise ConfigurationError(f"{arguments.source} is not in CLUSTER_NODES ({', '.join(settings.cluster_nodes)})")
    source = _name(settings, arguments.source) if arguments.source else ""
    wanted = resync.request(os.path.dirname(settings.wal_path), "asked for by 'ironbucket resync'", source)
    if arguments.no_wait:
        print("asked for; the node serves on, and takes the state when the replicator of a peer comes by")
        return 0
    _wait(settings, wanted.id)
    print("the state of this node is that of its peer, and this node's own records that had not been shipped")
    return 0


def _name(settings: Settings, address: str) -> str:
    """The node at an address. Raises PeerUnreachable."""
    from ironbucket.replication.peer import Peer

    peer = Peer(address, settings.cluster_secret, settings.node_id)
    try:
        return str(peer.vector()["node"])
    finally:
        peer.close()


def _wait(settings: Settings, request: str) -> None:
    """Until it has arrived. Raises IronBucketError when it was replaced by another request."""
    from ironbucket.node import join, resync
    from ironbucket.store.index import Index
    from ironbucket.store.paths import Layout

    directory = os.path.dirname(settings.wal_path)
    index = Index(Layout(settings.storage_path).index)
    try:
        with Progress() as progress:
            while (now := resync.pending(directory)) is not None:
                if now.id != request:
                    raise IronBucketError("another resync was asked for meanwhile")
                session = join.load(index.reader)
                taken = session.count if session is not None and session.request == request else 0
                progress("entries taken over" if taken else "waiting for the replicator of a peer", taken, 0)
                time.sleep(_POLL)
    finally:
        index.close()
