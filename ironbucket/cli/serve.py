"""`ironbucket serve`: make the node ready, then run its workers. Here the layers become one program."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from ironbucket import journal
from ironbucket.cli import options
from ironbucket.cli.printing import Progress
from ironbucket.config import SERVER_NEEDS, Settings, reloaded
from ironbucket.errors import ConfigurationError, S3Error
from ironbucket.node import Node
from ironbucket.node.recover import running_alone
from ironbucket.replication import PREFIX, cursor
from ironbucket.replication.acknowledge import Acknowledger
from ironbucket.replication.fetch import Fetcher
from ironbucket.replication.forward import Forwarder
from ironbucket.replication.receive import Receiver
from ironbucket.s3 import users
from ironbucket.s3.app import App, make_app
from ironbucket.s3.credentials import Credentials
from ironbucket.s3.users_watch import Watch
from ironbucket.server import workers
from ironbucket.server.notify import Notifier

_log = logging.getLogger("ironbucket.serve")

_LEVELS_WITH_REQUESTS = ("debug", "info")
_PATIENCE = 30  # seconds that systemd is asked to wait for the next word of a replay
_SAY_EVERY = 5.0


def arguments(parser: argparse.ArgumentParser) -> None:
    options.add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    loaded = options.inspected(arguments, SERVER_NEEDS)
    settings = options.settings(arguments, SERVER_NEEDS)
    _configure_journal(settings)
    for warning in loaded.warnings:
        _log.warning(warning)
    users.credentials(settings)  # what is wrong with the file of users is better said once, before any worker starts
    current = _Current(settings, lambda: options.settings(arguments, SERVER_NEEDS))
    with running_alone(settings):
        with Progress() as progress:
            Node.prepare(settings, _telling_systemd(progress))
        return workers.run(
            current.start,
            host=settings.host,
            port=settings.port,
            workers=settings.processes,
            limits=_limits(settings),
            access_log=settings.log_level in _LEVELS_WITH_REQUESTS,
            reload=lambda: _reload(current),
            ready=lambda host, port: _log.info("node %s serves %s port %d", settings.node_id, host, port),
        )


def _configure_journal(settings: Settings) -> None:
    journal.configure(settings.log_level, sys.stdout, (settings.secret_key, settings.cluster_secret))


def _limits(settings: Settings) -> workers.Limits:
    return workers.Limits(
        header_timeout=settings.header_timeout,
        idle_timeout=settings.idle_timeout,
        body_timeout=settings.body_timeout,
        send_timeout=settings.body_timeout,
        min_body_rate=settings.min_body_rate,
        max_connections=settings.max_connections,
        shutdown_timeout=settings.shutdown_timeout,
    )


class _Current:
    """The settings in force in this process. The master has one; each worker goes on with its copy."""

    def __init__(self, settings: Settings, read: Callable[[], Settings]) -> None:
        self.settings, self._read = settings, read

    def reload(self) -> tuple[str, ...]:
        """Read the settings again; returns the names of those that wait for a restart. Raises ConfigurationError."""
        self.settings, waiting = reloaded(self.settings, self._read())
        _configure_journal(self.settings)
        return waiting

    def _credentials(self) -> Credentials:
        """The keys for a worker that starts. A file of users that was damaged meanwhile must not keep it from serving
        the account; the watch reads the file again as soon as it changes."""
        try:
            return users.credentials(self.settings)
        except ConfigurationError as error:
            _log.error("no user can sign in until this is mended: %s", error)
            return Credentials.from_settings(self.settings)

    def start(self, number: int) -> workers.Application:
        """Worker `number`'s application, made after the fork."""
        node = Node.open(self.settings)
        watch = Watch(self.settings.users_file)
        app = make_app(node, self._credentials())
        if number == 0:
            node.start_housekeeping(partial(cursor.seen, self.settings.state_path, self.settings.cluster_nodes))

        def new_users() -> None:
            app.config["credentials"] = users.credentials(self.settings)

        watch.start(new_users)

        def reload() -> None:
            self.reload()
            _put_in_force(app, self.settings)

        def close() -> None:
            watch.close()
            node.close()

        served = _with_replication(app, node) if self.settings.cluster_nodes else app
        return workers.Application(app=served, check=lambda: _check(node), reload=reload, close=close)


def _with_replication(app: App, node: Node) -> Callable[..., Iterable[bytes] | None]:
    """The S3 application of a node that has peers: it receives from them, reads from them, and waits for them."""
    settings = node.settings
    receiver, forwarder = Receiver(node), Forwarder(settings)
    fetcher = Fetcher(settings)
    node.objects.elsewhere, node.buckets.elsewhere = fetcher, fetcher.bucket
    if settings.replication_ack != "local":
        node.committer.acknowledge = Acknowledger(settings, node).wait

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes] | None:
        if environ["PATH_INFO"].startswith(PREFIX):
            return receiver(environ, start_response)
        owner = forwarder.owner(environ)
        if owner is None:
            return app(environ, start_response)  # type: ignore[no-any-return]
        if environ["ironbucket.inline"]:
            return None
        try:
            return forwarder.forward(owner, environ, start_response)
        except S3Error as error:
            return app.refuse(error, environ, start_response)

    return serve


def _put_in_force(app: App, settings: Settings) -> None:
    """Every setting that is marked as reloadable and that a worker uses."""
    app.config["credentials"] = users.credentials(settings)
    app.access.trust(settings.trusted_proxies)
    app.__dict__.update(region=settings.region, domains=settings.domains)  # Bottle lets no attribute be set twice


def _check(node: Node) -> Mapping[str, object]:
    """The health page: the index answers. Raises what is wrong."""
    node.index.reader.execute("SELECT ms FROM clock").fetchone()
    return {"node": node.settings.node_id, "epoch": node.identity.epoch}


def _reload(current: _Current) -> None:
    """In the master: workers that are started later get the new settings; the log says what became of them."""
    try:
        waiting = current.reload()
    except ConfigurationError as error:
        _log.error("the settings are not reloaded, the old ones stay in force: %s", error)
        return
    _log.info("the settings are reloaded")
    if waiting:
        _log.warning("changed, but in force only after a restart: %s", ", ".join(name.upper() for name in waiting))


def _telling_systemd(progress: Progress) -> Callable[[str, int, int], None]:
    """`progress`, and a word to systemd now and then, which would otherwise end a long replay."""
    notifier = Notifier()
    said = time.monotonic()

    def tell(what: str, done: int, total: int) -> None:
        nonlocal said
        progress(what, done, total)
        if time.monotonic() - said > _SAY_EVERY:
            said = time.monotonic()
            notifier.send(EXTEND_TIMEOUT_USEC=_PATIENCE * 1_000_000, STATUS=f"{what}: {done}")

    return tell
