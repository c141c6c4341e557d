"""XML as S3 speaks it: a reader that refuses what could hurt, a writer that is a list of strings."""

from __future__ import annotations

from collections.abc import Iterator

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Element:
    """A parsed element: local name, text, children in order. Namespaces and attributes' prefixes are dropped."""

    __slots__ = ("attributes", "children", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = ""
        self.attributes: dict[str, str] = {}
        self.children: list[Element] = []

    def __iter__(self) -> Iterator[Element]:
        return iter(self.children)

    def all(self, name: str) -> list[Element]:
        """The children of that name."""
        return [child for child in self.children if child.name == name]

    def find(self, name: str) -> Element | None:
        """The first child of that name, or None."""
        raise NotImplementedError

    def value(self, name: str, default: str | None = None) -> str:
        """The text of the first child of that name; `default` if there is none; MalformedXML if that is None."""
        raise NotImplementedError


def parse(body: bytes, root: str, *, limit: int = 1 << 20) -> Element:
    """The root element, which must be called `root`; MalformedXML otherwise. `limit` in bytes."""
    raise NotImplementedError


class Writer:
    """Builds a document: w = Writer("ListBucketResult"); w.leaf("Name", value); w.open("Owner"); w.close(); w.bytes()."""

    def __init__(self, root: str, xmlns: str = NAMESPACE) -> None:
        raise NotImplementedError

    def open(self, name: str) -> None:
        raise NotImplementedError

    def leaf(self, name: str, value: str | int | bool) -> None:
        """An element with text, escaped. True and False become "true" and "false"."""
        raise NotImplementedError

    def raw(self, markup: str) -> None:
        """Markup that is already escaped, for hot loops: f"<Key>{escape(key)}</Key>"."""
        raise NotImplementedError

    def close(self) -> None:
        """Close what `open` opened last."""
        raise NotImplementedError

    def bytes(self) -> bytes:
        """The whole document in UTF-8, all elements closed."""
        raise NotImplementedError


def escape(text: str) -> str:
    """Text for an element's content."""
    raise NotImplementedError
