"""The bridge that joins the hosts, their cables, and partitions between two of them."""

from __future__ import annotations

import subprocess

from hosts.settings import Settings

_TABLE = "ironbucket_lab"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _nft(script: str) -> str:
    return subprocess.run(["nft", "-a", "-f", "-"], input=script, capture_output=True, text=True, check=True).stdout


def up(settings: Settings) -> None:
    """Make the bridge unless it is there."""
    shown = subprocess.run(["ip", "link", "show", settings.bridge], capture_output=True)
    if shown.returncode == 0:
        return
    _ip("link", "add", settings.bridge, "type", "bridge")
    _ip("link", "set", settings.bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
    _ip("addr", "add", f"{settings.gateway}/24", "dev", settings.bridge)
    _ip("link", "set", settings.bridge, "up")


def down(settings: Settings) -> None:
    subprocess.run(["ip", "link", "del", settings.bridge], capture_output=True)
    heal_all()


def plug(name: str, state: bool) -> None:
    """Put the network cable of a host in (True), or pull it (False)."""
    _ip("link", "set", f"vb-{name}", "up" if state else "down")


def partition(first: str, second: str) -> None:
    """Drop everything between two addresses, both ways; each still reaches all others."""
    _nft(
        f"add table bridge {_TABLE}\n"
        f"add chain bridge {_TABLE} between {{ type filter hook forward priority 0; }}\n"
        f"add rule bridge {_TABLE} between ip saddr {{ {first}, {second} }} ip daddr {{ {first}, {second} }} drop\n"
    )


def heal_all() -> None:
    """End every partition."""
    subprocess.run(["nft", "delete", "table", "bridge", _TABLE], capture_output=True)
