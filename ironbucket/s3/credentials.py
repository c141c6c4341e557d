"""Who may talk to this node: access keys, their secrets, and the accounts that they belong to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ironbucket.errors import ConfigurationError
from ironbucket.verifier import Verifier

#: the account of ACCESS_KEY and SECRET_KEY
DEFAULT_ACCOUNT = "ironbucket"


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller. `owner_id` depends on the account alone, so that it is the same everywhere and outlives its keys."""

    access_key: str
    account: str
    owner_id: str  # 64 hexadecimal digits, like S3's canonical user id
    display_name: str


def owner_id(account: str) -> str:
    """The canonical user id of an account: 64 hexadecimal digits. Stored with every object: it must never change."""
    return hashlib.sha256(b"ironbucket account " + account.encode()).hexdigest()


class Credentials:
    """The keys in force. Immutable: new keys are a new object, and the old one's caches go with it."""

    def __init__(self, keys: Mapping[str, tuple[str, str]]) -> None:
        """`keys`: access key -> (secret, account). Raises ConfigurationError for an empty key, secret or account."""
        self._keys: dict[str, tuple[str, Identity]] = {}
        for access_key, (secret, account) in keys.items():
            if not (access_key and secret and account):
                raise ConfigurationError("An access key, its secret and its account must not be empty.")
            self._keys[access_key] = secret, Identity(access_key, account, owner_id(account), account)
        self._names = {identity.owner_id: identity.display_name for _, identity in self._keys.values()}
        self._verifiers: dict[str, Verifier] = {}

    @classmethod
    def from_settings(cls, settings: Any) -> Credentials:
        """ACCESS_KEY and SECRET_KEY, and further keys from `settings.credentials` if it has any.

        These are a mapping: access key -> {"secret": ..., "account": ...}. Raises ConfigurationError.
        """
        keys = {settings.access_key: (settings.secret_key, DEFAULT_ACCOUNT)}
        for access_key, entry in (getattr(settings, "credentials", None) or {}).items():
            try:
                keys[access_key] = str(entry["secret"]), str(entry["account"])
            except (TypeError, KeyError):
                raise ConfigurationError(f"credentials: {access_key!r} needs a 'secret' and an 'account'.") from None
        return cls(keys)

    def lookup(self, access_key: str) -> tuple[str, Identity] | None:
        """The secret and the identity of an access key; None if it is unknown."""
        return self._keys.get(access_key)

    def owner(self, owner_id: str) -> str:
        """The display name of an owner; the id itself when the account is not known here."""
        return self._names.get(owner_id, owner_id)

    def verifier(self, region: str) -> Verifier:
        """The verifier of these keys for a region, always the same one: its caches are what makes it fast."""
        verifier = self._verifiers.get(region)
        if verifier is None:
            verifier = self._verifiers.setdefault(region, Verifier(self._secret, region))
        return verifier

    def _secret(self, access_key: str) -> str | None:
        found = self._keys.get(access_key)
        return found[0] if found else None
