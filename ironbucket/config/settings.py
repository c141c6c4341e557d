"""What can be set: one field per setting, with its unit, its default and what it is for.

The table is the only place that knows a setting's name. The command line's flags, the environment's variables, the
keys of the YAML file and `docs/configuration.md` all follow from it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ironbucket.config import values

T = TypeVar("T")


@dataclass(frozen=True)
class Field:
    """What is known about a setting beside its name and type."""

    #: text to value; raises ValueError with what is accepted
    read: Callable[[str], Any]
    #: what it is for, in one sentence with its unit
    help: str
    #: never printed, logged or shown in repr()
    secret: bool = False
    #: SIGHUP puts a changed value in force; else a restart does
    reloadable: bool = False
    #: environment variables that are read when the setting's own is absent
    aliases: tuple[str, ...] = ()
    #: a file name, which is made absolute
    path: bool = False
    #: may come from $CREDENTIALS_DIRECTORY/<name>, and from the file that <NAME>_FILE names
    from_file: bool = False


def _setting(default: T, read: Callable[[str], T], help: str, **more: Any) -> T:  # noqa: A002 - as argparse calls it
    """A field of the dataclass below. Typed as its value, as `dataclasses.field` is."""
    field: T = dataclasses.field(default=default, metadata={"about": Field(read, help, **more)})
    return field


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    """Everything that a process of IronBucket can be told. Immutable; built by `ironbucket.config.load`."""

    access_key: str = _setting(
        "", values.access_key, "access key id of the S3 account", reloadable=True, from_file=True
    )
    secret_key: str = _setting(
        "",
        values.secret_key,
        "secret key of the S3 account, at least 8 characters",
        secret=True,
        reloadable=True,
        from_file=True,
    )
    users_file: str = _setting(
        "", values.path, "YAML file of further users, their keys and policies; a change is in force at once", path=True
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (),
        values.networks,
        "comma-separated addresses and networks of the proxies whose X-Forwarded-* headers are believed",
        reloadable=True,
    )
    storage_path: str = _setting(
        "/var/lib/ironbucket/s3", values.path, "folder of the payloads and the index", path=True
    )
    wal_enabled: bool = _setting(
        True, values.boolean, "write the log; a node of a cluster must, a node without it has no history"
    )
    wal_path: str = _setting("/var/lib/ironbucket/wal/wal.log", values.path, "file of this node's log", path=True)
    node_id: str = _setting("node-1", values.node_id, "name of this node, unique in the cluster")
    host: str = _setting("0.0.0.0", values.host, "address to listen on; '::' for IPv6 and IPv4")  # noqa: S104
    port: int = _setting(9000, values.integer(1, 65535), "port to listen on")
    workers: int = _setting(0, values.integer(0, 256), "server processes; 0 is one for each processor")
    region: str = _setting("us-east-1", values.region, "region that clients sign for", reloadable=True)
    domain: str = _setting(
        "",
        values.domains,
        "comma-separated names under which a bucket is a host name (virtual-host style); empty: path style only",
        reloadable=True,
    )
    log_level: str = _setting(
        "info",
        values.choice(*values.LOG_LEVELS),
        "least severity that is logged: debug, info, warning or error",
        reloadable=True,
        aliases=("RUST_LOG",),
    )
    wal_flush_interval: float = _setting(
        0.0,
        values.seconds,
        "seconds between flushes of the log; 0: a write is on disk before it is acknowledged, "
        "otherwise a power loss can take the acknowledged writes of that many seconds",
    )
    wal_segment_size: int = _setting(64 << 20, values.size, "bytes after which the log starts a new segment")
    wal_segment_age: float = _setting(
        86_400.0, values.positive_seconds, "seconds after which the log starts a new segment"
    )
    wal_retention: float = _setting(
        7 * 86_400.0,
        values.seconds,
        "seconds for which closed segments are kept; a peer away for longer takes a snapshot",
    )
    wal_retention_size: int = _setting(
        10 << 30, values.size, "bytes of closed segments that are kept for peers that are away"
    )
    history_window: float = _setting(
        3600.0,
        values.seconds,
        "seconds for which an overwritten or deleted payload is kept on disk",
    )
    tombstone_grace: float = _setting(
        7 * 86_400.0,
        values.seconds,
        "seconds for which a deletion is remembered after it was made, and until every node has it",
    )
    state_path: str = _setting(
        "/var/lib/ironbucket/state/replicator.state",
        values.path,
        "file of the replicator's cursors; deleting it is safe",
        path=True,
    )
    cluster_nodes: tuple[str, ...] = _setting(
        (), values.addresses, "all other nodes, comma-separated host:port; never this node"
    )
    cluster_secret: str = _setting(
        "",
        values.cluster_secret,
        "secret by which nodes know each other, the same on all, at least 16 characters",
        secret=True,
        from_file=True,
    )
    batch_interval: int = _setting(
        5000, values.milliseconds, "milliseconds between two runs of the replicator", reloadable=True
    )
    max_batch_size: int = _setting(
        100, values.integer(1, 100_000), "log entries in one batch to a peer", reloadable=True
    )
    replication_ack: str = _setting(
        "local",
        values.choice(*values.ACKNOWLEDGEMENTS),
        "nodes that hold a write before it is acknowledged: local, one (other), quorum or all",
    )
    replication_timeout: float = _setting(
        5.0, values.positive_seconds, "seconds that a write waits for other nodes, where it does"
    )
    header_timeout: float = _setting(20.0, values.positive_seconds, "seconds in which a request's headers must arrive")
    idle_timeout: float = _setting(
        75.0, values.positive_seconds, "seconds for which a connection may wait between requests"
    )
    body_timeout: float = _setting(30.0, values.positive_seconds, "seconds for which a transfer may stand still")
    min_body_rate: int = _setting(
        512, values.size, "bytes a second that a body must reach while it is waited for; 0: any"
    )
    max_connections: int = _setting(8192, values.integer(1, 1_000_000), "connections that one server process holds")
    shutdown_timeout: float = _setting(
        30.0, values.seconds, "seconds that requests in flight get to finish at shutdown"
    )

    @property
    def domains(self) -> tuple[str, ...]:
        """The names of `domain`."""
        return tuple(filter(None, self.domain.split(",")))

    @property
    def peers(self) -> tuple[tuple[str, int], ...]:
        """(host, port) of every other node, in the order given."""
        return tuple(values.address(node) for node in self.cluster_nodes)

    @property
    def processes(self) -> int:
        """Server processes to run: `workers`, or the processors that this process may use."""
        return self.workers or len(os.sched_getaffinity(0))

    def shown(self) -> dict[str, Any]:
        """Name -> value with secrets masked: what may be printed and logged."""
        shown = {}
        for name, about in FIELDS.items():
            value = getattr(self, name)
            shown[name] = ("(set)" if value else "(not set)") if about.secret else value
        return shown

    def __repr__(self) -> str:
        return "Settings(" + ", ".join(f"{name}={value!r}" for name, value in self.shown().items()) + ")"


#: setting name -> what is known about it, in the order in which they are documented
FIELDS: Mapping[str, Field] = {field.name: field.metadata["about"] for field in dataclasses.fields(Settings)}


def default(name: str) -> Any:
    """The default value of the setting `name`."""
    return Settings.__dataclass_fields__[name].default


def reloaded(old: Settings, new: Settings) -> tuple[Settings, tuple[str, ...]]:
    """What is in force after SIGHUP: `new` where a running process can change, and the names of the others that differ.

    Those keep their old value until the process is restarted; the caller says so.
    """
    changed = [name for name in FIELDS if getattr(old, name) != getattr(new, name)]
    waiting = tuple(name for name in changed if not FIELDS[name].reloadable)
    return dataclasses.replace(new, **{name: getattr(old, name) for name in waiting}), waiting
