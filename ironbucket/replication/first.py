"""Which of the nodes that can be reached does what the cluster needs done once: the one whose name sorts first.

Nobody is elected and nothing is remembered. Two nodes that cannot reach each other both think they are first; what is
decided this way has to bear that.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ironbucket.errors import IronBucketError
from ironbucket.replication.peer import Peer

if TYPE_CHECKING:
    from ironbucket.config import Settings

log = logging.getLogger(__name__)


def first_node(settings: Settings) -> str:
    """The name of that node; this node's own when no peer answers."""
    if not settings.cluster_nodes:
        return settings.node_id
    with ThreadPoolExecutor(len(settings.cluster_nodes)) as pool:
        found = pool.map(lambda address: _name(settings, address), settings.cluster_nodes)
        return min([settings.node_id, *(name for name in found if name)])


def _name(settings: Settings, address: str) -> str:
    """A peer's name; "" when it cannot be reached."""
    peer = Peer(address, settings.cluster_secret, settings.node_id)
    try:
        return str(peer.vector().get("node", ""))
    except (IronBucketError, OSError) as error:
        log.warning("%s: %s", address, error)
        return ""
    finally:
        peer.close()
