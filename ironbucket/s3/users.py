"""The file of users: their keys, and the policies that say what each may do. Read by servers, written by a command.

    users:
      alice:
        keys:
          AKIAALICE: the secret
        policies: [readwrite, own-photos]
    policies:
      own-photos:
        Version: "2012-10-17"
        Statement: ...

All values are text here, whatever YAML would take them for: a secret of digits, a date as a version.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ironbucket import fsutil
from ironbucket.config import Settings, values
from ironbucket.errors import ConfigurationError, MalformedPolicy
from ironbucket.s3.credentials import Credentials, User
from ironbucket.s3.policy import Policy, parse_identity

log = logging.getLogger(__name__)

MODE = 0o600
_LARGEST = 16 << 20
_NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}")
#: names that policies understand as an account
_ACCOUNT = re.compile(r"[0-9]{12}|[0-9a-f]{64}|ironbucket|root")


def _allow(*actions: str) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}],
    }


#: policies that need not be written down
BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    "readwrite": _allow("s3:*"),
    "readonly": _allow("s3:Get*", "s3:List*"),
    "writeonly": _allow("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
}


@dataclass
class Entry:
    """One user as the file has it."""

    keys: dict[str, str] = field(default_factory=dict)
    policies: list[str] = field(default_factory=list)


@dataclass
class Users:
    """The content of the file."""

    users: dict[str, Entry] = field(default_factory=dict)
    policies: dict[str, Any] = field(default_factory=dict)

    def resolved(self) -> list[User]:
        """The users with their policies. Raises ConfigurationError: a name or a document that is not valid."""
        parsed: dict[str, Policy] = {}
        for name, document in {**BUILT_IN, **self.policies}.items():
            try:
                parsed[name] = parse_identity(document)
            except MalformedPolicy as error:
                detail = "".join(f" ({value})" for value in error.details.values())
                raise ConfigurationError(f"policy '{name}': {error.message}{detail}") from None
        owners: dict[str, str] = {}
        for name, entry in self.users.items():
            check_name(name)
            for access_key, secret in entry.keys.items():
                _check_key(name, access_key, secret)
                if access_key in owners:
                    raise ConfigurationError(
                        f"the access key {access_key} belongs to '{owners[access_key]}' and '{name}'"
                    )
                owners[access_key] = name
            for policy in entry.policies:
                if policy not in parsed:
                    raise ConfigurationError(f"user '{name}': there is no policy '{policy}'")
        return [
            User(name, entry.keys, tuple(parsed[policy] for policy in entry.policies))
            for name, entry in self.users.items()
        ]


def check_name(name: str) -> None:
    """Raise ConfigurationError for what no user can be called."""
    if not _NAME.fullmatch(name) or _ACCOUNT.fullmatch(name):
        raise ConfigurationError(
            f"'{name}' cannot be a user's name: 1 to 64 of letters, digits and +=,.@_-, and no account"
        )


def _check_key(name: str, access_key: str, secret: str) -> None:
    try:
        values.access_key(access_key)
        values.secret_key(secret)
    except ValueError as error:
        raise ConfigurationError(f"user '{name}', access key {access_key}: {error}") from None


def load(path: str) -> list[User]:
    """The users of a file. Raises ConfigurationError, without a secret in its text, and OSError."""
    try:
        return read(path).resolved()
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error.message}") from None


def credentials(settings: Settings) -> Credentials:
    """All keys in force: the account's and the users'. A file that is not there yet has no users.

    Raises ConfigurationError.
    """
    path = settings.users_file
    if not path:
        return Credentials.from_settings(settings)
    try:
        return Credentials.from_settings(settings, load(path))
    except FileNotFoundError:
        log.warning("%s is not there: there are no users beside the account", path)
        return Credentials.from_settings(settings)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None


def read(path: str) -> Users:
    """The file as it is. Raises ConfigurationError for another shape, and OSError."""
    import yaml

    with open(path, "rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ConfigurationError("the file is too large")
    try:
        node = yaml.compose(data, Loader=yaml.BaseLoader)
        _refuse_repeated(node)
        document = yaml.load(data, Loader=yaml.BaseLoader) or {}  # noqa: S506 - BaseLoader makes text and nothing else
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"not valid YAML{place}") from None  # its own text may quote a secret
    return _users(document)


def _refuse_repeated(node: Any) -> None:
    """YAML lets the last of two equal keys win without a word."""
    if node is None or node.id == "scalar":
        return
    if node.id == "sequence":
        for item in node.value:
            _refuse_repeated(item)
        return
    seen = set()
    for key, value in node.value:
        if isinstance(key.value, str) and key.value in seen:
            raise ConfigurationError(f"'{key.value}' is there twice, at line {key.start_mark.line + 1}")
        seen.add(str(key.value))
        _refuse_repeated(value)


def _users(document: Any) -> Users:
    if not isinstance(document, dict) or not document.keys() <= {"users", "policies"}:
        raise ConfigurationError("must hold 'users' and 'policies', and nothing else")
    users, policies = document.get("users") or {}, document.get("policies") or {}
    if not isinstance(users, dict) or not isinstance(policies, dict):
        raise ConfigurationError("'users' and 'policies' must be lines of 'name: ...'")
    return Users({name: _entry(name, entry) for name, entry in users.items()}, policies)


def _entry(name: str, entry: Any) -> Entry:
    entry = entry or {}
    if not isinstance(entry, dict) or not entry.keys() <= {"keys", "policies"}:
        raise ConfigurationError(f"user '{name}' must have 'keys' and 'policies', and nothing else")
    keys, policies = entry.get("keys") or {}, entry.get("policies") or []
    if not isinstance(keys, dict) or not all(isinstance(secret, str) for secret in keys.values()):
        raise ConfigurationError(f"user '{name}': 'keys' must be lines of 'access key: secret'")
    if not isinstance(policies, list) or not all(isinstance(policy, str) for policy in policies):
        raise ConfigurationError(f"user '{name}': 'policies' must be a list of names")
    return Entry(keys, policies)


@contextlib.contextmanager
def changing(path: str) -> Iterator[Users]:
    """The content, to be changed. What it is at the end replaces the file, if it is valid and nothing was raised.

    Two commands at once wait for each other.
    """
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        users = read(path) if os.path.exists(path) else Users()
        yield users
        users.resolved()
        _write(path, users)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error.message}") from None
    finally:
        os.close(directory)


def _write(path: str, users: Users) -> None:
    """Put the content under `path`, whole or not at all, for its owner alone: the one it had, else the folder's."""
    import yaml

    document: dict[str, Any] = {
        "users": {
            name: {"keys": dict(entry.keys), "policies": list(entry.policies)} for name, entry in users.users.items()
        }
    }
    if users.policies:
        document["policies"] = users.policies
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    owner = os.stat(path if os.path.exists(path) else os.path.dirname(path) or ".")
    temporary = f"{path}.{os.getpid()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
    try:
        try:
            if os.geteuid() == 0:
                os.fchown(fd, owner.st_uid, owner.st_gid)
            os.fchmod(fd, MODE)
            fsutil.write_all(fd, text.encode())
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    fsutil.sync_directory(os.path.dirname(path) or ".")
