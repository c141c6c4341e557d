"""Who may talk to this node: access keys, their secrets, and the accounts that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller. `owner_id` depends on the account alone, so that it is the same everywhere and outlives its keys."""

    access_key: str
    account: str
    owner_id: str  # 64 hexadecimal digits
    display_name: str


class Credentials:
    """The keys in force."""

    @classmethod
    def from_settings(cls, settings: Any) -> Credentials:
        raise NotImplementedError

    def lookup(self, access_key: str) -> tuple[str, Identity] | None:
        """The secret and the identity of an access key; None if it is unknown."""
        raise NotImplementedError

    def owner(self, owner_id: str) -> str:
        """The display name of an owner; the id itself when the account is not known."""
        raise NotImplementedError
