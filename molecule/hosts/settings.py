"""Where everything is kept: from the environment, so that two runs beside each other do not meet."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

#: the host interface of a machine is called vb-NAME, and an interface's name has 15 characters at most
_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,10})")


class LabError(Exception):
    """Something that the operator has to know; the message is all that is shown."""


@dataclass(frozen=True)
class Settings:
    """The lab's places. Everything that is ever written is below `directory`."""

    directory: Path
    bridge: str
    network: str  # the first three octets
    suite: str
    mirror: str  # "": where this machine itself gets its packages

    @classmethod
    def from_environment(cls) -> Settings:
        get = os.environ.get
        return cls(
            directory=Path(get("LAB_DIR", "/var/lib/ironbucket-lab")),
            bridge=get("LAB_BRIDGE", "br-ironbucket"),
            network=get("LAB_NET", "10.88.0"),
            suite=get("LAB_SUITE", "bookworm"),
            mirror=get("LAB_MIRROR", ""),
        )

    @property
    def gateway(self) -> str:
        return f"{self.network}.1"

    @property
    def key(self) -> Path:
        """The private key that opens every host, as root and as `ansible`."""
        return self.directory / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"

    def host(self, name: str) -> Path:
        """The directory of the host `name`. Raises LabError for a name that no interface could have."""
        if not _NAME.fullmatch(name):
            raise LabError(f"'{name}' cannot be a host: 1 to 11 of a-z, 0-9 and '-', a letter first")
        return self.directory / "hosts" / name
