"""The operators of a policy's Condition.

A condition holds when each of its keys does. A key holds when the request's value fits one of those listed (or, of a
negated operator, none of them). A key that the request lacks fails every operator but the negated ones, those ending
in IfExists, ForAllValues and Null.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from ironbucket.s3.policy.glob import Lookup, Pattern, key_name, matches

#: all values of a condition key (lower case) in the request; None when it has none
Values = Callable[[str], Sequence[str] | None]
#: (value of the request, value of the policy, the request's other values) -> whether they fit
Test = Callable[[str, Pattern, Lookup], bool]


class Operator(NamedTuple):
    """What one operator does with one value."""

    test: Test
    negated: bool = False
    #: raises ValueError for a value that no policy may hold
    check: Callable[[str], object] = str


class Condition(NamedTuple):
    """One operator and key of a Condition element, and the values listed."""

    name: str  # as written: ForAnyValue:StringLikeIfExists
    operator: Operator | None  # None: Null
    key: str  # lower case, but for the name of a tag
    values: tuple[Pattern, ...]
    quantifier: str = ""  # "", ForAnyValue or ForAllValues
    if_exists: bool = False

    def holds(self, values: Values, lookup: Lookup) -> bool:
        """Whether the request meets this condition."""
        found = values(self.key)
        if self.operator is None:
            return any((found is None) == (value.text.lower() == "true") for value in self.values)
        if found is None or (not found and self.quantifier):
            if self.quantifier:
                return self.quantifier == "ForAllValues" or self.if_exists
            return self.if_exists or self.operator.negated
        operator = self.operator
        results = (
            any(operator.test(value, listed, lookup) for listed in self.values) != operator.negated for value in found
        )
        if self.quantifier:
            return all(results) if self.quantifier == "ForAllValues" else any(results)
        # several values without a quantifier: to deny is the safe reading of a negated operator
        return all(results) if self.operator.negated else any(results)


# -- tests of one value -----------------------------------------------------------------------------------------------


def _equal(value: str, listed: Pattern, lookup: Lookup) -> bool:
    return listed.fixed(lookup) == value


def _equal_ignoring_case(value: str, listed: Pattern, lookup: Lookup) -> bool:
    fixed = listed.fixed(lookup)
    return fixed is not None and fixed.casefold() == value.casefold()


def _like(value: str, listed: Pattern, lookup: Lookup) -> bool:
    return listed.matches(value, lookup)


def _arn_like(value: str, listed: Pattern, lookup: Lookup) -> bool:
    """Each of the six parts of an ARN by itself."""
    parts, patterns = value.split(":", 5), listed.text.split(":", 5)
    if "${" in listed.text:
        return listed.matches(value, lookup)
    return len(parts) == len(patterns) and all(matches(p, part) for p, part in zip(patterns, parts, strict=True))


def _boolean(value: str, listed: Pattern, lookup: Lookup) -> bool:
    fixed = listed.fixed(lookup)
    return fixed is not None and fixed.lower() == value.lower()


def _binary(value: str, listed: Pattern, _: Lookup) -> bool:
    try:
        return base64.b64decode(value, validate=True) == base64.b64decode(listed.text, validate=True)
    except binascii.Error:
        return False


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def moment(text: str) -> float:
    """A date as Unix time in seconds: ISO 8601, or seconds since 1970. Raises ValueError."""
    if text.lstrip("-").isdecimal() and text.isascii() and len(text.lstrip("-")) > 4:
        return float(text)
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _ordered(read: Callable[[str], float], compare: Callable[[float, float], bool]) -> Test:
    def test(value: str, listed: Pattern, lookup: Lookup) -> bool:
        fixed = listed.fixed(lookup)
        try:
            return fixed is not None and compare(read(value), read(fixed))
        except ValueError:
            return False

    return test


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(4096)
def network(text: str) -> Network:
    """An address or a CIDR range. Raises ValueError."""
    return ipaddress.ip_network(text, strict=False)


def _address(value: str, listed: Pattern, lookup: Lookup) -> bool:
    fixed = listed.fixed(lookup)
    try:
        return fixed is not None and in_network(value, network(fixed))
    except ValueError:
        return False


def in_network(value: str, among: Network) -> bool:
    """Whether an address is in a network; an IPv4 address that came over IPv6 is that IPv4 address.

    Raises ValueError for what is no address.
    """
    address = ipaddress.ip_address(value.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address in among


def _is_boolean(text: str) -> str:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text


def _is_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _family(prefix: str, read: Callable[[str], float], check: Callable[[str], object]) -> dict[str, Operator]:
    return {
        f"{prefix}Equals": Operator(_ordered(read, float.__eq__), check=check),
        f"{prefix}NotEquals": Operator(_ordered(read, float.__eq__), True, check),
        f"{prefix}LessThan": Operator(_ordered(read, float.__lt__), check=check),
        f"{prefix}LessThanEquals": Operator(_ordered(read, float.__le__), check=check),
        f"{prefix}GreaterThan": Operator(_ordered(read, float.__gt__), check=check),
        f"{prefix}GreaterThanEquals": Operator(_ordered(read, float.__ge__), check=check),
    }


OPERATORS: dict[str, Operator] = {
    "StringEquals": Operator(_equal),
    "StringNotEquals": Operator(_equal, True),
    "StringEqualsIgnoreCase": Operator(_equal_ignoring_case),
    "StringNotEqualsIgnoreCase": Operator(_equal_ignoring_case, True),
    "StringLike": Operator(_like),
    "StringNotLike": Operator(_like, True),
    **_family("Numeric", _number, _number),
    **_family("Date", moment, moment),
    "Bool": Operator(_boolean, check=_is_boolean),
    "BinaryEquals": Operator(_binary, check=_is_base64),
    "IpAddress": Operator(_address, check=network),
    "NotIpAddress": Operator(_address, True, network),
    "ArnEquals": Operator(_arn_like),
    "ArnLike": Operator(_arn_like),
    "ArnNotEquals": Operator(_arn_like, True),
    "ArnNotLike": Operator(_arn_like, True),
}

NULL = "Null"
QUANTIFIERS = ("ForAnyValue", "ForAllValues")


def condition(name: str, key: str, values: Sequence[str], *, variables: bool) -> Condition:
    """A condition of a document. Raises KeyError for an unknown operator, ValueError for a value it cannot take."""
    quantifier, colon, rest = name.partition(":")
    if not colon:
        quantifier, rest = "", name
    elif quantifier not in QUANTIFIERS:
        raise KeyError(name)
    patterns = tuple(Pattern(value, variables=variables) for value in values)
    if rest == NULL and not quantifier:
        for value in values:
            _is_boolean(value)
        return Condition(name, None, key_name(key), patterns)
    operator = OPERATORS[rest.removesuffix("IfExists")]
    for value in values:
        if "${" not in value:
            operator.check(value)
    return Condition(name, operator, key_name(key), patterns, quantifier, rest.endswith("IfExists"))
