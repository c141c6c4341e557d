"""Buckets: what creating, deleting and configuring one means."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from ironbucket.errors import BucketAlreadyExists, BucketNotEmpty, NoSuchBucket
from ironbucket.node.commit import Committer, Transaction
from ironbucket.store import buckets
from ironbucket.store.buckets import BucketRow
from ironbucket.store.index import Index, index_errors
from ironbucket.store.model import Bucket
from ironbucket.wal.record import CREATE_BUCKET, DELETE_BUCKET, DELETE_METADATA, UPDATE_METADATA


class Buckets:
    """Operations on buckets."""

    def __init__(self, index: Index, committer: Committer) -> None:
        self._index, self._committer = index, committer
        #: asks the peers for a bucket; set by whoever wires a cluster
        self.elsewhere: Callable[[str], Bucket | None] | None = None

    def create(self, name: str, owner: str, configuration: Mapping[str, Any] | None = None) -> Bucket:
        """Idempotent for its owner, as in us-east-1. Raises BucketAlreadyExists."""

        def change(transaction: Transaction) -> Bucket:
            row = buckets.load(transaction.connection, name)
            if row is not None and buckets.exists(transaction.connection, row):
                if row.owner != owner:
                    raise BucketAlreadyExists(BucketName=name)
                return row.bucket()
            attributes: dict[str, Any] = {"owner": owner}
            if configuration:
                attributes["configuration"] = dict(configuration)
            transaction.record(CREATE_BUCKET, name, attributes=attributes)
            return existing(transaction.connection, name).bucket()

        return self._committer.submit(change)

    def get(self, name: str) -> Bucket:
        """Raises NoSuchBucket."""
        with index_errors():
            return existing(self._index.reader, name).bucket()

    def accept(self, name: str) -> Bucket:
        """The bucket that is to be written to. One that so far only a peer knows of is created here too.

        Raises NoSuchBucket, also for a bucket that is known here to have been deleted since.
        """
        with index_errors():
            row = buckets.load(self._index.reader, name)
            if row is not None and buckets.exists(self._index.reader, row):
                return row.bucket()
        found = self.elsewhere(name) if self.elsewhere is not None else None
        if found is None or (row is not None and found.created <= row.deleted):
            raise NoSuchBucket(BucketName=name)
        return self.create(name, found.owner, found.configuration)

    def deleted_ms(self, name: str) -> int:
        """The stamp of the newest deletion of a name, in milliseconds; 0 when it never was deleted."""
        with index_errors():
            row = buckets.load(self._index.reader, name)
        return row.deleted.ms if row is not None else 0

    def number(self, name: str) -> int:
        """The row number of an existing bucket. Raises NoSuchBucket."""
        with index_errors():
            return existing(self._index.reader, name).number

    def delete(self, name: str) -> None:
        """Raises NoSuchBucket, BucketNotEmpty."""

        def change(transaction: Transaction) -> None:
            row = existing(transaction.connection, name)
            if buckets.holds_versions(transaction.connection, row.number):
                raise BucketNotEmpty(BucketName=name)
            transaction.record(DELETE_BUCKET, name)

        self._committer.submit(change)

    def list(self, prefix: str = "", after: str = "", limit: int = 10_000) -> list[Bucket]:
        """Existing buckets in order of their names, from after `after` on."""
        with index_errors():
            return list(islice(self._existing(prefix, after), limit))

    def _existing(self, prefix: str, after: str) -> Iterator[Bucket]:
        connection = self._index.reader
        for row in buckets.scan(connection, prefix, after):
            if buckets.exists(connection, row):
                yield row.bucket()

    def configure(self, name: str, kind: str, value: Any, check: Callable[[Bucket], None] = lambda _: None) -> None:
        """Set one kind of configuration, or remove it with None. Raises NoSuchBucket, and what `check` raises.

        `check` is given the bucket under the log's lock, and decides whether the change may be.
        """

        def change(transaction: Transaction) -> None:
            check(existing(transaction.connection, name).bucket())
            operation = DELETE_METADATA if value is None else UPDATE_METADATA
            attributes = {"kind": kind} if value is None else {"kind": kind, "value": value}
            transaction.record(operation, name, attributes=attributes)

        self._committer.submit(change)


def existing(connection: sqlite3.Connection, name: str) -> BucketRow:
    """The row of a bucket that exists. Raises NoSuchBucket."""
    row = buckets.load(connection, name)
    if row is None or not buckets.exists(connection, row):
        raise NoSuchBucket(BucketName=name)
    return row
