"""What policies say about a request: an explicit deny outweighs every allow, and what nobody allows is denied.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from ironbucket.s3.policy.conditions import Values
from ironbucket.s3.policy.document import Policy, Principal, Statement


class Decision(Enum):
    """What came of it."""

    ALLOW = "allow"
    DENY = "deny"  # explicitly
    NEUTRAL = "neutral"  # nothing was said


class Subject(NamedTuple):
    """Who asks: a user of the account, the account itself (user ""), or nobody that is known."""

    user: str = ""
    anonymous: bool = False


def evaluate(policies: Iterable[Policy], subject: Subject, action: str, resource: str, values: Values) -> Decision:
    """Decide. `resource` is an ARN, `values` gives the request's values of condition keys in lower case."""

    def lookup(key: str) -> str | None:
        found = values(key)
        return found[0] if found is not None and len(found) == 1 else None

    decision = Decision.NEUTRAL
    for policy in policies:
        for statement in policy.statements:
            if statement.allows and decision is Decision.ALLOW:
                continue
            if (
                _is_about(statement, subject)
                and statement.concerns(action, resource, lookup)
                and all(each.holds(values, lookup) for each in statement.conditions)
            ):
                if not statement.allows:
                    return Decision.DENY
                decision = Decision.ALLOW
    return decision


def _is_about(statement: Statement, subject: Subject) -> bool:
    principal: Principal | None = statement.principal
    if principal is None or principal.everyone:
        return True
    if subject.anonymous:
        return False
    if subject.user and subject.user in principal.users:
        return True
    # the account stands for all its users when something is denied; what it is allowed, it has yet to hand on to them
    return principal.account and (not statement.allows or not subject.user)
