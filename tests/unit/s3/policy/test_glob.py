"""Patterns, against the plain recursive definition of * and ?."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket.s3.policy.glob import Pattern, matches

TEXT = st.text("ab.\n*?", max_size=10)


def model(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(model(pattern[1:], text[i:]) for i in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and model(pattern[1:], text[1:])


@given(TEXT, TEXT)
def test_it_means_what_the_definition_says(pattern: str, text: str) -> None:
    assert matches(pattern, text) == model(pattern, text)


@given(TEXT, TEXT)
def test_a_variable_is_never_a_wildcard(name: str, text: str) -> None:
    pattern = Pattern("home/${aws:username}/*")
    assert pattern.matches(f"home/{text}/x", lambda _: name) == (text == name or text.startswith(name + "/"))


def test_an_adversary_cannot_make_it_slow() -> None:
    assert not matches("*a" * 50 + "b", "a" * 1024)


@pytest.mark.parametrize(
    ("pattern", "user", "text", "fits"),
    [
        ("a/${aws:username}", "bob", "a/bob", True),
        ("a/${aws:username}", None, "a/", False),
        ("a/${aws:username, 'anyone'}", None, "a/anyone", True),
        ("a/${*}", None, "a/*", True),
        ("a/${*}", None, "a/b", False),
        ("a/${$}{x}", None, "a/${x}", True),
        ("a/${unfinished", None, "a/${unfinished", True),
    ],
)
def test_variables(pattern: str, user: str | None, text: str, fits: bool) -> None:
    assert Pattern(pattern).matches(text, lambda _: user) is fits


def test_old_documents_have_no_variables() -> None:
    assert Pattern("${aws:username}", variables=False).matches("${aws:username}", lambda _: "bob")
