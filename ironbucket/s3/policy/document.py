"""Policy documents: from JSON to statements, and every reason for which one is refused.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html (20 KB)
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ironbucket.errors import MalformedPolicy
from ironbucket.s3.policy import actions, conditions
from ironbucket.s3.policy.conditions import Condition
from ironbucket.s3.policy.glob import Lookup, Pattern, matches

#: bytes of a bucket policy
MAX_BUCKET_POLICY = 20 << 10
MAX_STATEMENTS = 500

VERSIONS = ("2012-10-17", "2008-10-17")
ARN = "arn:aws:s3:::"
_POLICY_FIELDS = frozenset(("Version", "Id", "Statement"))
_STATEMENT_FIELDS = frozenset(
    ("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
)
_PRINCIPAL_ARN = re.compile(r"arn:aws:iam::([^:]*):(root|user/(?:[^*?]*/)?([^*?/]+))")


class Principal(NamedTuple):
    """Whom a statement of a bucket policy is about."""

    everyone: bool = False
    account: bool = False  # the account as a whole
    users: frozenset[str] = frozenset()


class Statement(NamedTuple):
    """One statement, ready to be compared with requests."""

    allows: bool
    principal: Principal | None  # None: a policy of a user, about that user
    actions: tuple[str, ...]
    not_actions: bool
    resources: tuple[Pattern, ...]
    not_resources: bool
    conditions: tuple[Condition, ...]

    def concerns(self, action: str, resource: str, lookup: Lookup) -> bool:
        """Whether it is about an action on a resource, whoever asks and whatever the conditions."""
        if any(matches(each, action, ignore_case=True) for each in self.actions) == self.not_actions:
            return False
        return any(each.matches(resource, lookup) for each in self.resources) != self.not_resources


class Policy(NamedTuple):
    """A parsed document."""

    statements: tuple[Statement, ...]
    text: str = ""


class Names(NamedTuple):
    """The principals that exist: how the account may be written, and which users it has (None: any name will do)."""

    accounts: frozenset[str] = frozenset()
    users: frozenset[str] | None = None


def parse_bucket(text: str, bucket: str, names: Names) -> Policy:
    """The policy of a bucket. Raises MalformedPolicy."""
    if len(text.encode()) > MAX_BUCKET_POLICY:
        raise MalformedPolicy("Policy exceeds the maximum allowed document size.")
    return _policy(_decode(text), text, lambda statement, version: _bucket_statement(statement, version, bucket, names))


@lru_cache(1024)
def stored(text: str) -> Policy:
    """The policy of a bucket as it was accepted. Names that have gone since then fit nobody."""
    return _policy(_decode(text), text, lambda statement, version: _statement(statement, version, _ANY))


def parse_identity(document: Any) -> Policy:
    """A policy that is attached to a user: a decoded document, or its JSON text. Raises MalformedPolicy."""
    text = ""
    if isinstance(document, str):
        text, document = document, _decode(document)
    return _policy(document, text, lambda statement, version: _statement(statement, version, None))


_ANY = Names()


def _decode(text: str) -> Any:
    if not text.startswith("{"):
        raise MalformedPolicy("Policies must be valid JSON and the first byte must be '{'")
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise MalformedPolicy("This policy contains invalid Json") from None


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _policy(document: Any, text: str, read: Callable[[Mapping[str, Any], str], Statement]) -> Policy:
    if not isinstance(document, dict):
        raise MalformedPolicy("Policies must be valid JSON and the first byte must be '{'")
    _check_fields(document, _POLICY_FIELDS)
    version = document.get("Version", VERSIONS[1])
    if version not in VERSIONS:
        raise MalformedPolicy("The policy must contain a valid version string")
    if not isinstance(document.get("Id", ""), str):
        raise MalformedPolicy("Invalid policy syntax.")
    if "Statement" not in document:
        raise MalformedPolicy("Missing required field Statement")
    statements = document["Statement"]
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not all(isinstance(each, dict) for each in statements):
        raise MalformedPolicy("Invalid policy syntax.")
    if not statements:
        raise MalformedPolicy("Statement is empty!")
    if len(statements) > MAX_STATEMENTS:
        raise MalformedPolicy("Too many statements")
    sids = [each["Sid"] for each in statements if "Sid" in each]
    if not all(isinstance(sid, str) for sid in sids) or len(set(sids)) != len(sids):
        raise MalformedPolicy("Statement IDs (SID) in a single policy must be unique.")
    return Policy(tuple(read(each, version) for each in statements), text)


def _check_fields(document: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in document:
        if name not in known:
            raise MalformedPolicy(f"Unknown field {name}")


def _statement(statement: Mapping[str, Any], version: str, names: Names | None) -> Statement:
    _check_fields(statement, _STATEMENT_FIELDS)
    effect = _required(statement, "Effect")
    if effect not in ("Allow", "Deny"):
        raise MalformedPolicy(f"Invalid effect: {effect}")
    variables = version == VERSIONS[0]
    principal = None
    if names is not None:
        if "NotPrincipal" in statement:
            raise MalformedPolicy("NotPrincipal is not supported: deny with a Condition, or allow a Principal.")
        principal = _principal(_required(statement, "Principal"), names)
    elif "Principal" in statement or "NotPrincipal" in statement:
        raise MalformedPolicy("A policy of a user must not name a Principal: it is about that user")
    action_field = _one_of(statement, "Action", "NotAction")
    named = _strings(statement[action_field], "Policy has invalid action")
    for action in named:
        if not actions.known(action):
            raise MalformedPolicy("Policy has invalid action", Detail=action[:128])
    resource_field = _one_of(statement, "Resource", "NotResource")
    resources = _strings(statement[resource_field], "Policy has invalid resource")
    for resource in resources:
        bare = names is None and resource == "*"
        if not bare and (not resource.startswith(ARN) or not resource[len(ARN) :].lstrip("/")):
            raise MalformedPolicy("Policy has invalid resource", Detail=resource[:128])
    return Statement(
        effect == "Allow",
        principal,
        tuple(named),
        action_field == "NotAction",
        tuple(Pattern(resource, variables=variables) for resource in resources),
        resource_field == "NotResource",
        tuple(_conditions(statement.get("Condition", {}), variables)),
    )


def _bucket_statement(statement: Mapping[str, Any], version: str, bucket: str, names: Names) -> Statement:
    """A statement of a bucket policy: its resources are of that bucket, and its actions apply to them."""
    parsed = _statement(statement, version, names)
    own = ARN + bucket
    for resource in parsed.resources:
        if resource.text != own and not resource.text.startswith(own + "/"):
            raise MalformedPolicy("Policy has invalid resource", Detail=resource.text[:128])
    if not parsed.not_actions and not parsed.not_resources:
        levels = {
            level
            for level, whole in ((actions.BUCKET_ACTIONS, True), (actions.OBJECT_ACTIONS, False))
            if any((resource.text == own) == whole for resource in parsed.resources)
        }
        for action in parsed.actions:
            if not any(actions.known(action) & level for level in levels):
                raise MalformedPolicy("Action does not apply to any resource(s) in statement", Detail=action[:128])
    return parsed


def _required(statement: Mapping[str, Any], name: str) -> Any:
    if name not in statement:
        raise MalformedPolicy(f"Missing required field {name}")
    return statement[name]


def _one_of(statement: Mapping[str, Any], name: str, opposite: str) -> str:
    if name in statement and opposite in statement:
        raise MalformedPolicy(f"Statement must not contain both {name} and {opposite}")
    if opposite in statement:
        return opposite
    _required(statement, name)
    return name


def _strings(value: Any, message: str) -> list[str]:
    """One string or a list of them, not empty."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(each, str) and each for each in values):
        raise MalformedPolicy(message)
    return values


def _principal(value: Any, names: Names) -> Principal:
    if value == "*":
        return Principal(everyone=True)
    if not isinstance(value, dict) or not value or not value.keys() <= {"AWS", "CanonicalUser"}:
        raise MalformedPolicy("Invalid principal in policy")
    everyone = account = False
    users = set()
    for kind, named in value.items():
        for name in _strings(named, "Invalid principal in policy"):
            if name == "*" and kind == "AWS":
                everyone = True
            elif user := _user(name, names):
                users.add(user)
            elif name in names.accounts or names is _ANY or _account_of(name) in names.accounts:
                account = True
            else:
                raise MalformedPolicy("Invalid principal in policy", Detail=name[:256])
    return Principal(everyone, account, frozenset(users))


def _account_of(name: str) -> str:
    found = _PRINCIPAL_ARN.fullmatch(name)
    return found[1] if found and found[2] == "root" else ""


def _user(name: str, names: Names) -> str:
    """The user that a principal names, by ARN or bare; "" for none."""
    if found := _PRINCIPAL_ARN.fullmatch(name):
        account, user = found[1], found[3] or ""
        known = names is _ANY or (account in names.accounts and (names.users is None or user in names.users))
        return user if user and known else ""
    if names is _ANY:  # it was checked when it was accepted
        return "" if _is_account(name) else name
    return name if names.users is not None and name in names.users else ""


def _is_account(name: str) -> bool:
    return re.fullmatch(r"[0-9]{12}|[0-9a-f]{64}|ironbucket", name) is not None


def _conditions(document: Any, variables: bool) -> list[Condition]:
    if not isinstance(document, dict):
        raise MalformedPolicy("Invalid policy syntax.")
    found = []
    for name, keys in document.items():
        if not isinstance(keys, dict) or not keys:
            raise MalformedPolicy("Invalid policy syntax.")
        for key, values in keys.items():
            if not actions.is_condition_key(key):
                raise MalformedPolicy("Policy has an invalid condition key", Detail=key[:128])
            try:
                found.append(conditions.condition(name, key, _values(values), variables=variables))
            except KeyError:
                raise MalformedPolicy(f"Invalid Condition type : {name}") from None
            except ValueError:
                raise MalformedPolicy(f"Invalid value in the Condition {name} : {key}") from None
    return found


def _values(value: Any) -> list[str]:
    """The values of a condition key as text: JSON's booleans and numbers count as what they look like."""
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str | bool | int | float) for each in values):
        raise MalformedPolicy("Invalid policy syntax.")
    return [each if isinstance(each, str) else json.dumps(each) for each in values]
