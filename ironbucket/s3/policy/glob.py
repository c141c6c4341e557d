"""Patterns of policies: * is any text, ? is one character, ${key} is what the request says.

Matching takes linear time for every `*` and never backtracks over more than one: patterns and the texts they are
matched with come from different people.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

#: ${name} or ${name, 'default'}
_VARIABLE = re.compile(r"\$\{\s*([^{},]+?)\s*(?:,\s*'([^']*)'\s*)?\}")
_LITERALS = ("*", "?", "$")

#: the single value of a condition key in the request; None when it has none, or several
Lookup = Callable[[str], str | None]


@lru_cache(4096)
def compiled(pattern: str, ignore_case: bool = False) -> re.Pattern[str]:
    """A pattern without variables as a regular expression for `fullmatch`."""
    return re.compile(_expression([pattern]), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _expression(pieces: list[str | tuple[str]]) -> str:
    """Text with wildcards, and literals in tuples, as one expression. Between two `*` the first place that fits is
    the right one, which an atomic group says."""
    segments = [""]
    for piece in pieces:
        if isinstance(piece, tuple):
            segments[-1] += re.escape(piece[0])
            continue
        first, *others = piece.split("*")
        segments[-1] += _segment(first)
        segments += [_segment(other) for other in others]
    if len(segments) == 1:
        return segments[0]
    middle = "".join(f"(?>.*?{segment})" for segment in segments[1:-1] if segment)
    return f"{segments[0]}{middle}.*{segments[-1]}"


def _segment(text: str) -> str:
    return ".".join(re.escape(part) for part in text.split("?"))


def matches(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    """Whether the whole of `text` fits a pattern without variables."""
    return compiled(pattern, ignore_case).fullmatch(text) is not None


class Pattern:
    """A pattern that may hold variables."""

    __slots__ = ("_pieces", "text")

    def __init__(self, text: str, *, variables: bool = True) -> None:
        self.text = text
        #: text with wildcards, variables as (key, default or None); None without variables
        self._pieces = _split(text) if variables and "${" in text else None

    def matches(self, value: str, lookup: Lookup) -> bool:
        """Whether `value` fits. A variable that the request has no value for fits nothing."""
        if self._pieces is None:
            return matches(self.text, value)
        filled = self._filled(lookup)
        return filled is not None and re.fullmatch(_expression(filled), value, re.DOTALL) is not None

    def fixed(self, lookup: Lookup) -> str | None:
        """The text for operators that know no wildcards; None when a variable has no value."""
        if self._pieces is None:
            return self.text
        filled = self._filled(lookup)
        return None if filled is None else "".join(p if isinstance(p, str) else p[0] for p in filled)

    def _filled(self, lookup: Lookup) -> list[str | tuple[str]] | None:
        filled: list[str | tuple[str]] = []
        for piece in self._pieces or ():
            if isinstance(piece, str):
                filled.append(piece)
                continue
            key, default = piece
            value = key if key in _LITERALS else lookup(key_name(key))
            if value is None:
                value = default
            if value is None:
                return None
            filled.append((value,))  # never a wildcard, whatever a user is called
        return filled


def key_name(text: str) -> str:
    """A condition key as it is looked up: in lower case, but for the name of a tag."""
    name, slash, tag = text.partition("/")
    return name.lower() + slash + tag


def _split(text: str) -> list[str | tuple[str, str | None]]:
    pieces: list[str | tuple[str, str | None]] = []
    position = 0
    for found in _VARIABLE.finditer(text):
        pieces.append(text[position : found.start()])
        pieces.append((found[1], found[2]))
        position = found.end()
    pieces.append(text[position:])
    return pieces
