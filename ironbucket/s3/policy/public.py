"""Whether a bucket policy is public: whether it allows anything to callers that it does not pin down.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status
"""

from __future__ import annotations

from ironbucket.s3.policy.conditions import Condition, network
from ironbucket.s3.policy.document import Policy, Statement

#: keys that pin a caller down when they are compared with fixed values
_PINNING = frozenset(("aws:principalaccount", "aws:principalarn", "aws:userid", "aws:username"))
_FIXED = ("StringEquals", "StringLike", "StringEqualsIgnoreCase", "ArnEquals", "ArnLike")
#: networks wider than this are the public
_WIDEST = {4: 8, 6: 32}


def is_public(policy: Policy) -> bool:
    """Whether any statement lets the public in."""
    return any(_lets_in(statement) for statement in policy.statements)


def _lets_in(statement: Statement) -> bool:
    if not statement.allows or statement.principal is None or not statement.principal.everyone:
        return False
    return not any(_pins(each) for each in statement.conditions)


def _pins(condition: Condition) -> bool:
    if condition.quantifier == "ForAllValues" or condition.if_exists:  # both hold of a request without the key
        return False
    name = condition.name.rpartition(":")[2]
    if condition.key in _PINNING and name in _FIXED:
        return not any(set("*?$") & set(value.text) for value in condition.values)
    if condition.key == "aws:sourceip" and name == "IpAddress":
        return not any("$" in value.text or _is_wide(value.text) for value in condition.values)
    return False


def _is_wide(text: str) -> bool:
    found = network(text)
    return found.prefixlen < _WIDEST[found.version]
