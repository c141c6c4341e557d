"""Condition operators: examples from the documentation, and laws that hold for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket.s3.policy.conditions import condition


def holds(name: str, listed: Sequence[str], found: Sequence[str] | None) -> bool:
    return condition(name, "aws:Any", listed, variables=True).holds(lambda _: found, lambda _: None)


@pytest.mark.parametrize(
    ("name", "listed", "found", "expected"),
    [
        ("StringEquals", ["a", "b"], ["b"], True),
        ("StringEquals", ["a*"], ["ab"], False),
        ("StringEquals", ["a"], ["A"], False),
        ("StringEquals", ["a"], None, False),
        ("StringNotEquals", ["a"], None, True),
        ("StringNotEquals", ["a", "b"], ["b"], False),
        ("StringEqualsIgnoreCase", ["aB"], ["Ab"], True),
        ("StringLike", ["a*", "?z"], ["yz"], True),
        ("StringNotLike", ["a*"], ["ab"], False),
        ("StringEqualsIfExists", ["a"], None, True),
        ("StringEqualsIfExists", ["a"], ["b"], False),
        ("NumericLessThanEquals", ["10"], ["10"], True),
        ("NumericLessThan", ["10"], ["10"], False),
        ("NumericEquals", ["10"], ["10.0"], True),
        ("NumericNotEquals", ["10"], ["11"], True),
        ("NumericGreaterThan", ["10"], ["x"], False),
        ("DateGreaterThan", ["2024-01-01T00:00:00Z"], ["2024-01-01T00:00:01Z"], True),
        ("DateLessThan", ["1704067200"], ["2023-12-31T23:59:59Z"], True),
        ("DateEquals", ["2024-01-01"], ["2024-01-01T00:00:00Z"], True),
        ("Bool", ["true"], ["TRUE"], True),
        ("Bool", ["false"], ["true"], False),
        ("BinaryEquals", ["QUI="], ["QUI="], True),
        ("IpAddress", ["10.0.0.0/8"], ["10.1.2.3"], True),
        ("IpAddress", ["10.0.0.0/8"], ["::ffff:10.1.2.3"], True),
        ("IpAddress", ["10.0.0.0/8"], ["2001:db8::1"], False),
        ("IpAddress", ["2001:db8::/32"], ["2001:db8::1"], True),
        ("IpAddress", ["10.1.2.3"], ["10.1.2.3"], True),
        ("IpAddress", ["10.0.0.0/8"], ["nonsense"], False),
        ("NotIpAddress", ["10.0.0.0/8"], ["10.1.2.3"], False),
        ("NotIpAddress", ["10.0.0.0/8"], ["11.1.2.3"], True),
        ("ArnLike", ["arn:aws:iam::*:user/b*"], ["arn:aws:iam::1:user/bob"], True),
        ("ArnLike", ["arn:*:user/bob"], ["arn:aws:iam::1:user/bob"], False),
        ("ArnNotEquals", ["arn:aws:iam::1:user/bob"], ["arn:aws:iam::1:user/bob"], False),
        ("Null", ["true"], None, True),
        ("Null", ["true"], ["a"], False),
        ("Null", ["false"], ["a"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False),
        ("ForAllValues:StringEquals", ["a"], None, True),
        ("ForAnyValue:StringEquals", ["a", "b"], ["c", "b"], True),
        ("ForAnyValue:StringEquals", ["a"], None, False),
        ("ForAnyValue:StringNotEquals", ["a"], ["a", "b"], True),
    ],
)
def test_examples(name: str, listed: list[str], found: list[str] | None, expected: bool) -> None:
    assert holds(name, listed, found) is expected


VALUES = st.lists(st.sampled_from("abc"), min_size=1, max_size=3)


@given(VALUES, st.one_of(st.none(), st.sampled_from("abc").map(lambda v: [v])), st.booleans())
def test_negated_operators_are_the_opposite(listed: list[str], found: list[str] | None, like: bool) -> None:
    kind = "Like" if like else "Equals"
    assert holds(f"String{kind}", listed, found) != holds(f"StringNot{kind}", listed, found)


@given(VALUES, VALUES)
def test_quantifiers_are_sets(listed: list[str], found: list[str]) -> None:
    assert holds("ForAllValues:StringEquals", listed, found) == (set(found) <= set(listed))
    assert holds("ForAnyValue:StringEquals", listed, found) == bool(set(found) & set(listed))


@pytest.mark.parametrize(
    ("name", "value"),
    [("NumericEquals", "x"), ("NumericEquals", "nan"), ("DateEquals", "soon"), ("Bool", "maybe"), ("Null", "x"),
     ("IpAddress", "10.0.0.0/99"), ("BinaryEquals", "!")],
)  # fmt: skip
def test_values_that_no_operator_can_take(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        condition(name, "aws:Any", [value], variables=True)


@pytest.mark.parametrize("name", ["Equals", "ForSomeValues:StringEquals", "NullIfExists", "ForAnyValue:Null", ""])
def test_operators_that_do_not_exist(name: str) -> None:
    with pytest.raises(KeyError):
        condition(name, "aws:Any", ["true"], variables=True)
