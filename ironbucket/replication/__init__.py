"""Replication: log lines and payloads from node to node, below the S3 layer.

A batch is sent by `run` (through `peer`, in the format of `wire`) and taken in by `receive`; `cursor` keeps what the
replicator knows of its peers; `fetch` reads from a peer what has not arrived here yet.
"""

PREFIX = "/-/replicate/"
