"""From text to value: each function reads one kind of setting, strictly, or raises ValueError saying what it accepts.

A number without a unit is in the setting's own unit; `30s`, `5m`, `10GiB` are never ambiguous and always accepted.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_TRUE = frozenset({"true", "yes", "1"})
_FALSE = frozenset({"false", "no", "0"})
_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_BYTES = {
    "b": 1,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
}
_QUANTITY = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[A-Za-z]*)", re.ASCII)
_NODE_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?", re.ASCII)
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)", re.ASCII)
_REGION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", re.ASCII)
LOG_LEVELS = ("debug", "info", "warning", "error")
ACKNOWLEDGEMENTS = ("local", "one", "quorum", "all")


def text(value: str) -> str:
    """Any text that has no control characters."""
    if any(character < " " or character == "\x7f" for character in value):
        raise ValueError("must not contain control characters")
    return value


def boolean(value: str) -> bool:
    word = value.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("must be one of true, false, yes, no, 1, 0")


def integer(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers from `least` to `most`, both included."""

    def read(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", value, re.ASCII) or not least <= int(value) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(value)

    return read


def _quantity(value: str, units: dict[str, int], bare: int, wanted: str) -> float:
    match = _QUANTITY.fullmatch(value.strip())
    factor = None
    if match is not None:
        factor = units.get(match["unit"].lower()) if match["unit"] else bare
    if match is None or factor is None:
        raise ValueError(wanted)
    return float(match["number"]) * factor


def seconds(value: str) -> float:
    """A duration in seconds: `2.5`, `500ms`, `30s`, `5m`, `2h`, `7d`."""
    return (
        _quantity(value, _MS, 1000, "must be a number of seconds or a duration such as 500ms, 30s, 5m, 2h, 7d") / 1000
    )


def positive_seconds(value: str) -> float:
    duration = seconds(value)
    if duration <= 0:
        raise ValueError("must be more than 0")
    return duration


def milliseconds(value: str) -> int:
    """A duration in whole milliseconds, at least one: `5000`, `500ms`, `5s`, `1m`."""
    duration = _quantity(value, _MS, 1, "must be a number of milliseconds or a duration such as 500ms, 5s, 1m")
    if duration < 1:
        raise ValueError("must be at least 1 ms")
    return int(duration)


def size(value: str) -> int:
    """A number of bytes: `4096`, `64KiB`, `10GiB`, `5MB`."""
    return int(_quantity(value, _BYTES, 1, "must be a number of bytes or a size such as 64KiB, 512MiB, 10GiB"))


def path(value: str) -> str:
    """A path without control characters (the caller makes it absolute)."""
    if not value:
        raise ValueError("must be a path")
    return text(value)


def choice(*allowed: str) -> Callable[[str], str]:
    """A reader of one of `allowed`, in any case."""

    def read(value: str) -> str:
        word = value.lower()
        if word not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return word

    return read


def node_id(value: str) -> str:
    """A node's name. It is a field of every log line, a part of file names and a label in addresses."""
    if not _NODE_ID.fullmatch(value):
        raise ValueError("must be 1 to 32 of a-z, 0-9 and '-', with a letter or a digit first and last, such as node-1")
    return value


def region(value: str) -> str:
    if not _REGION.fullmatch(value):
        raise ValueError("must be a region name of a-z, 0-9 and '-', such as us-east-1")
    return value


def access_key(value: str) -> str:
    """An access key id. `/`, `,` and `=` separate it from its neighbours in the Authorization header."""
    if not re.fullmatch(r"[!-~]{3,128}", value) or set(value) & set("/,=&"):
        raise ValueError("must be 3 to 128 printable ASCII characters without blanks, '/', ',', '=' and '&'")
    return value


def secret_key(value: str) -> str:
    if len(value) < 8:
        raise ValueError("must have at least 8 characters; make one with: openssl rand -hex 20")
    return text(value)


def cluster_secret(value: str) -> str:
    if len(value) < 16:
        raise ValueError("must have at least 16 characters; make one with: openssl rand -hex 32")
    if len(set(value)) < 6:
        raise ValueError("repeats too few characters to be a secret; make one with: openssl rand -hex 32")
    return text(value)


def _is_ip4(host: str) -> bool:
    numbers = host.split(".")
    return len(numbers) == 4 and all(re.fullmatch(r"[0-9]{1,3}", n, re.ASCII) and int(n) < 256 for n in numbers)


def _is_ip6(host: str) -> bool:
    from ipaddress import IPv6Address  # only those who use IPv6 pay for the import

    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def host(value: str) -> str:
    """A host name, an IPv4 address, or an IPv6 address without brackets; returned in lower case."""
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    if ":" in bare:
        if _is_ip6(bare):
            return bare.lower()
        raise ValueError(f"'{value}' is not an IPv6 address")
    labels = bare.split(".")
    looks_numeric = all(label.isdigit() for label in labels)
    if not all(_LABEL.fullmatch(label) for label in labels) or len(bare) > 253 or (looks_numeric and not _is_ip4(bare)):
        raise ValueError(f"'{value}' is not a host name or an address")
    return bare.lower()


def address(value: str) -> tuple[str, int]:
    """`host:port` or `[IPv6]:port`, taken apart."""
    name, colon, port = value.rpartition(":")
    bracketed = name.startswith("[") and name.endswith("]")
    if not colon or not name or (":" in name and not bracketed):
        raise ValueError(f"'{value}' must be host:port, such as node-2.lan:9000 or [fd00::2]:9000")
    try:
        return host(name), integer(1, 65535)(port)
    except ValueError as error:
        raise ValueError(f"'{value}': {error}") from None


def addresses(value: str) -> tuple[str, ...]:
    """Comma-separated `host:port`, each written the one way that `address` reads."""
    nodes = []
    for item in filter(None, (part.strip() for part in value.split(","))):
        name, port = address(item)
        nodes.append(f"[{name}]:{port}" if ":" in name else f"{name}:{port}")
    repeated = sorted({node for node in nodes if nodes.count(node) > 1})
    if repeated:
        raise ValueError(f"lists {', '.join(repeated)} more than once")
    return tuple(nodes)


def domains(value: str) -> str:
    """Comma-separated host names, without blanks and in lower case."""
    return ",".join(host(part.strip()) for part in value.split(",") if part.strip())


def networks(value: str) -> tuple[str, ...]:
    """Comma-separated addresses and networks in CIDR notation."""
    from ipaddress import ip_network

    found = []
    for part in filter(None, (part.strip() for part in value.split(","))):
        try:
            found.append(str(ip_network(part)))
        except ValueError as error:
            raise ValueError(f"'{part}' must be an address or a network such as 10.0.0.0/24: {error}") from None
    return tuple(found)
