# Copyright: the IronBucket authors
# Apache License 2.0
"""Filters that turn an inventory group into the cluster's members, and two nodes' status into what one lacks."""

from __future__ import annotations

import re

_NODE_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
# What people type when a field must not be empty; also several of them, with digits and signs around and between.
_WEAK = re.compile(
    "(?:access|admin|aws|bucket|change|cluster|default|demo|example|foobar|insecure|iron|it|key|letmein|me|minio|my|"
    "none|null|passwd|password|pass|qwerty|replace|root|s|secret|super|test|ing|the|this|todo|very|word|your|x|abc)*"
)


def members(hosts, hostvars, excluded=()):
    """The nodes of an inventory group, in the group's order."""
    found = []
    for host in hosts:
        variables = hostvars[host]
        node_id = str(variables.get("node_id", host))
        if host in excluded or node_id in excluded:
            continue
        name = str(variables.get("node_address") or variables.get("ansible_host") or host)
        bracketed = f"[{name}]" if ":" in name else name
        port = int(variables.get("node_port", 9000))
        found.append(
            {
                "host": host,
                "name": node_id,
                "address": f"{bracketed}:{port}",
                "drained": bool(variables.get("node_drained", False)),
            }
        )
    return found


def peers(nodes, host):
    """Addresses of all members but the one whose inventory name is `host`."""
    return [node["address"] for node in nodes if node["host"] != host]


def problems(nodes, host, peer_addresses, secrets):
    """What is wrong with a cluster's description: one sentence each, none that repeats a secret."""
    found = []
    for what, key in (("node id", "name"), ("address", "address")):
        values = [node[key] for node in nodes]
        for value in sorted({value for value in values if values.count(value) > 1}):
            owners = ", ".join(node["host"] for node in nodes if node[key] == value)
            found.append(f"{what} {value} is given to more than one node: {owners}")
    found += [
        f"node id '{node['name']}' ({node['host']}) must be 1 to 32 of a-z, 0-9 and '-', with a letter or a digit "
        "first and last; set node_id"
        for node in nodes
        if not _NODE_ID.fullmatch(node["name"])
    ]
    own = [node["address"] for node in nodes if node["host"] == host]
    found += [f"{host} lists itself as a peer: {address}" for address in peer_addresses if address in own]
    found += _secret_problems(secrets, clustered=bool(peer_addresses))
    return found


def _secret_problems(secrets, clustered):
    found = []
    if not secrets.get("node_access_key"):
        found.append("node_access_key is not set: choose the access key id that S3 clients use")
    needed = {"node_secret_key": 16}
    if clustered or secrets.get("node_cluster_secret"):
        needed["node_cluster_secret"] = 32
    for name, least in needed.items():
        value = str(secrets.get(name) or "")
        word = re.sub(r"[^a-z]+", "", value.lower())
        if not value:
            found.append(f"{name} is not set: make one with 'openssl rand -hex 32' and keep it in a vault")
        elif len(value) < least:
            found.append(f"{name} is weak: it has {len(value)} characters and needs {least}")
        elif len(set(value)) < 8 or (_WEAK.fullmatch(word) and len(word) > len(value) // 3):
            found.append(f"{name} is weak: make one with 'openssl rand -hex 32'")
        elif value == secrets.get("node_access_key"):
            found.append(f"{name} is the same as node_access_key")
    if "node_cluster_secret" in needed and secrets.get("node_cluster_secret") == secrets.get("node_secret_key"):
        found.append("node_cluster_secret is the same as node_secret_key: S3 clients could act as nodes")
    return found


def newest(paths, name="ironbucket-", suffix=".tar"):
    """The version in the names of bundles that is the highest, or '' without any."""
    versions = []
    for path in paths:
        base = path.rsplit("/", 1)[-1]
        if base.startswith(name) and base.endswith(suffix):
            versions.append(base[len(name) : -len(suffix)])
    return max(versions, key=_version_order, default="")


def _version_order(version):
    """Numbers as numbers; a pre-release (1.0rc1) before its release."""
    release, rest = re.match(r"((?:\d+\.)*\d+)?(.*)", version).groups()
    numbers = tuple(int(part) for part in (release or "0").split("."))
    early = bool(re.match(r"\.?(a|b|rc|dev)", rest))
    return (numbers, not early, [int(part) if part.isdigit() else 0 for part in re.split(r"(\d+)", rest)], rest)


def lacking(have, wanted):
    """What one node lacks of what another has: sentences, [] if nothing. Both: from `ironbucket status --json`."""
    heads = {(head["node"], head["epoch"]): head for head in _vector(have)}
    latest = {head["node"]: head["epoch"] for head in sorted(_vector(have), key=lambda head: int(head["epoch"], 16))}
    found = []
    for head in _vector(wanted):
        mine = heads.get((head["node"], head["epoch"]))
        if mine is None:
            later = int(latest.get(head["node"], "0"), 16) > int(head["epoch"], 16)
            if head["sequence"] and not later:
                found.append(f"{have['node']} has nothing of {head['node']}, epoch {head['epoch']}")
        elif mine["sequence"] < head["sequence"]:
            missing = head["sequence"] - mine["sequence"]
            found.append(f"{have['node']} lacks {missing} entries of {head['node']}")
        elif mine["sequence"] == head["sequence"] and mine["chain"] != head["chain"]:
            found.append(f"{have['node']} and {wanted['node']} hold different logs of {head['node']}")
    return found


def lacking_of(wanted, have):
    """`lacking` with its arguments the other way round, for `map`."""
    return lacking(have, wanted)


def _vector(status):
    """How far a node has applied each log. A node that has not begun has no index, and nothing."""
    return (status.get("index") or {}).get("vector", [])


class FilterModule:
    """The filters of this collection."""

    def filters(self):
        """Name of each filter, and what does it."""
        return {
            "lacking": lacking,
            "lacking_of": lacking_of,
            "members": members,
            "newest": newest,
            "peers": peers,
            "problems": problems,
        }
