"""What must hold between settings: each rule looks at the whole and says what to do when it is broken."""

from __future__ import annotations

import os

from ironbucket.config.settings import Settings
from ironbucket.config.values import address

_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to
_GENERATE = "make one with: openssl rand -hex 32"


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")


def _is_own_interface(host: str) -> bool:
    """Whether an IP address belongs to this machine: the kernel then answers from that very address.

    Connecting a datagram socket sends nothing. Binding to the address would be simpler, and wrong where
    net.ipv4.ip_nonlocal_bind is set, as it is beside keepalived.
    """
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))
            return bool(probe.getsockname()[0] == host)
    except OSError:
        return False  # a name, or no route: not recognisable, and so not refused


def is_self(node: str, settings: Settings) -> bool:
    """Whether `node` (host:port) can be seen to be this very node."""
    host, port = address(node)
    if port != settings.port:
        return False
    own = settings.host.lower()
    if own not in _WILDCARDS:
        return host == own or (host == "localhost" and _is_loopback(own))
    machine = os.uname().nodename.lower()
    if host in {machine, machine.partition(".")[0]} or _is_loopback(host):
        return True
    return host[-1:].isdigit() and _is_own_interface(host)


def problems(settings: Settings, given: frozenset[str], needs: tuple[str, ...] = ()) -> list[str]:
    """What is wrong, and what to do about it. `given`: names that are not at their default. `needs`: that must be."""
    found = [f"{name.upper()} is not set: {_how_to_set(name)}" for name in needs if not getattr(settings, name)]
    found += _paths(settings)
    if settings.cluster_nodes:
        found += _cluster(settings, given)
    elif settings.replication_ack != "local":
        found.append(
            f"REPLICATION_ACK={settings.replication_ack} needs other nodes, and CLUSTER_NODES names none: "
            "no write could be acknowledged. Set CLUSTER_NODES, or REPLICATION_ACK=local"
        )
    if settings.cluster_secret and settings.cluster_secret == settings.secret_key:
        found.append(f"CLUSTER_SECRET is the same as SECRET_KEY: S3 clients could act as nodes; {_GENERATE}")
    return found


def warnings(settings: Settings, given: frozenset[str]) -> list[str]:
    """What works but deserves a look."""
    found = []
    if settings.wal_flush_interval > 0:
        found.append(
            f"WAL_FLUSH_INTERVAL={settings.wal_flush_interval:g}: a power loss can take the writes that were "
            "acknowledged in that many seconds; 0 makes every acknowledged write durable"
        )
    if settings.secret_key and len(set(settings.secret_key)) < 4:
        found.append("SECRET_KEY repeats a few characters and is easy to guess; make one with: openssl rand -hex 20")
    if settings.cluster_secret and not settings.cluster_nodes:
        found.append("CLUSTER_SECRET is set but CLUSTER_NODES is not: this node sends to no other node")
    if not settings.wal_enabled and "wal_path" in given:
        found.append("WAL_PATH is set but WAL_ENABLED is false: changes are not written to that log")
    return found


def _how_to_set(name: str) -> str:
    variable = name.upper()
    hint = {
        "access_key": f"choose an access key id, such as {variable}=root",
        "secret_key": f"make one with: export {variable}=$(openssl rand -hex 20)",
        "cluster_secret": f"{_GENERATE}, and give it to every node",
        "cluster_nodes": f"list the other nodes, such as {variable}=node-2.lan:9000,node-3.lan:9000",
    }
    return f"{hint.get(name, f'set {variable}')} (environment, configuration file or flag)"


def _paths(settings: Settings) -> list[str]:
    found = []
    if os.path.exists(settings.storage_path) and not os.path.isdir(settings.storage_path):
        found.append(f"STORAGE_PATH={settings.storage_path} is not a folder: name a folder")
    for name in ("wal_path", "state_path"):
        path = getattr(settings, name)
        if os.path.isdir(path):
            found.append(f"{name.upper()}={path} is a folder: name a file in it, such as {path}/{_file_name(name)}")
    paths = {"STORAGE_PATH": settings.storage_path, "WAL_PATH": settings.wal_path, "STATE_PATH": settings.state_path}
    if len(set(paths.values())) < len(paths):
        found.append("STORAGE_PATH, WAL_PATH and STATE_PATH must be three different paths")
    return found


def _file_name(name: str) -> str:
    return "wal.log" if name == "wal_path" else "replicator.state"


def _cluster(settings: Settings, given: frozenset[str]) -> list[str]:
    found = []
    if not settings.cluster_secret:
        found.append(f"CLUSTER_NODES is set but CLUSTER_SECRET is not: {_GENERATE}, and give it to every node")
    if "node_id" not in given:
        found.append("CLUSTER_NODES is set but NODE_ID is not: give each node its own, such as NODE_ID=node-1")
    if not settings.wal_enabled:
        found.append("CLUSTER_NODES is set but WAL_ENABLED is false: nodes exchange their logs; set WAL_ENABLED=true")
    found += [
        f"CLUSTER_NODES lists {node}, which is this node: list the other nodes only"
        for node in settings.cluster_nodes
        if is_self(node, settings)
    ]
    return found
