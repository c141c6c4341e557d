"""Who may talk to this node: access keys, their secrets, and the accounts that they belong to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ironbucket.errors import ConfigurationError
from ironbucket.s3.policy import Policy
from ironbucket.verifier import Verifier

#: the account of ACCESS_KEY and SECRET_KEY
DEFAULT_ACCOUNT = "ironbucket"
#: the number of that account in ARNs, which have room for twelve digits only
ACCOUNT_NUMBER = "000000000000"


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller. `owner_id` depends on the account alone, so that it is the same everywhere and outlives its keys."""

    access_key: str
    account: str
    owner_id: str  # 64 hexadecimal digits, like S3's canonical user id
    display_name: str
    user: str = ""  # "" is the account itself, which may do everything
    policies: tuple[Policy, ...] = ()  # what a user may do
    anonymous: bool = False
    #: nothing that this caller asks for has to be looked up
    unrestricted: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "unrestricted", not self.user and not self.anonymous)

    @property
    def arn(self) -> str:
        """How policies name this caller."""
        return f"arn:aws:iam::{ACCOUNT_NUMBER}:" + (f"user/{self.user}" if self.user else "root")


@dataclass(frozen=True, slots=True)
class User:
    """A user of the account: keys (access key -> secret) and what they permit."""

    name: str
    keys: Mapping[str, str]
    policies: tuple[Policy, ...] = ()


def owner_id(account: str) -> str:
    """The canonical user id of an account: 64 hexadecimal digits. Stored with every object: it must never change."""
    return hashlib.sha256(b"ironbucket account " + account.encode()).hexdigest()


#: whoever sends no credentials; what they store belongs to the account
ANONYMOUS = Identity("", DEFAULT_ACCOUNT, owner_id(DEFAULT_ACCOUNT), DEFAULT_ACCOUNT, anonymous=True)


class Credentials:
    """The keys in force. Immutable: new keys are a new object, and the old one's caches go with it."""

    def __init__(self, keys: Mapping[str, tuple[str, str]], users: Iterable[User] = ()) -> None:
        """`keys`: access key -> (secret, account). Raises ConfigurationError for an empty key, secret or account."""
        self._keys: dict[str, tuple[str, Identity]] = {}
        for access_key, (secret, account) in keys.items():
            if not (access_key and secret and account):
                raise ConfigurationError("An access key, its secret and its account must not be empty.")
            self._keys[access_key] = secret, Identity(access_key, account, owner_id(account), account)
        #: names of users
        listed = tuple(users)
        self.users = frozenset(user.name for user in listed)
        for user in listed:
            self._add(user)
        self._names = {identity.owner_id: identity.display_name for _, identity in self._keys.values()}
        self._verifiers: dict[str, Verifier] = {}

    def _add(self, user: User) -> None:
        for access_key, secret in user.keys.items():
            if access_key in self._keys:
                raise ConfigurationError(f"access key {access_key!r} of user {user.name!r} belongs to somebody else")
            identity = Identity(
                access_key, DEFAULT_ACCOUNT, owner_id(DEFAULT_ACCOUNT), DEFAULT_ACCOUNT, user.name, user.policies
            )
            self._keys[access_key] = secret, identity

    @classmethod
    def from_settings(cls, settings: Any, users: Iterable[User] = ()) -> Credentials:
        """ACCESS_KEY and SECRET_KEY, those of users, and further keys from `settings.credentials` if it has any.

        These are a mapping: access key -> {"secret": ..., "account": ...}. Raises ConfigurationError.
        """
        keys = {settings.access_key: (settings.secret_key, DEFAULT_ACCOUNT)}
        for access_key, entry in (getattr(settings, "credentials", None) or {}).items():
            try:
                keys[access_key] = str(entry["secret"]), str(entry["account"])
            except (TypeError, KeyError):
                raise ConfigurationError(f"credentials: {access_key!r} needs a 'secret' and an 'account'.") from None
        return cls(keys, users)

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
