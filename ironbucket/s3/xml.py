"""XML as S3 speaks it: a reader that refuses what could hurt, a writer that is a list of strings.

The reader knows elements and text. Document types (and so entities), processing instructions, deep nesting and
masses of elements are refused as soon as they begin, so that no document costs more than its own size.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/s3-api.xsd is no longer published; the shapes are those
of the API reference. Characters: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.parsers import expat

from ironbucket.errors import MalformedXML, MaxMessageLengthExceeded

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

#: the default limit of a document in bytes: 1,000 keys of 1,024 bytes each fit, and 10,000 parts do with 4 MiB
LIMIT = 2 << 20
MAX_DEPTH = 16
MAX_ELEMENTS = 100_000

_SPECIAL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")


class Element:
    """A parsed element: local name, text, children in order. Namespaces and the prefixes of attributes are dropped."""

    __slots__ = ("attributes", "children", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.text = ""
        self.attributes = attributes
        self.children: list[Element] = []

    def __iter__(self) -> Iterator[Element]:
        return iter(self.children)

    def all(self, name: str) -> list[Element]:
        """The children of that name."""
        return [child for child in self.children if child.name == name]

    def find(self, name: str) -> Element | None:
        """The first child of that name, or None."""
        for child in self.children:
            if child.name == name:
                return child
        return None

    def value(self, name: str, default: str | None = None) -> str:
        """The text of the first child of that name; `default` if there is none; MalformedXML if that is None."""
        child = self.find(name)
        if child is not None:
            return child.text
        if default is None:
            raise MalformedXML
        return default


class _Builder:
    """Receives expat's events."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH:
            raise MalformedXML
        if attributes:
            attributes = {attribute.rpartition(":")[2]: value for attribute, value in attributes.items()}
        element = Element(name.rpartition(":")[2], attributes)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, _name: str) -> None:
        element = self._open.pop()
        if element.children:
            element.text = ""

    def data(self, text: str) -> None:
        element = self._open[-1]
        if not element.children:  # else it is indentation, and adding up all of it would take quadratic time
            element.text += text

    def refuse(self, *_: object) -> None:
        raise MalformedXML


def parse(body: bytes, root: str, *, limit: int = LIMIT) -> Element:
    """The root element of a document, which must be called `root`.

    Raises MaxMessageLengthExceeded for more than `limit` bytes, and MalformedXML for what is not such a document.
    """
    if len(body) > limit:
        raise MaxMessageLengthExceeded(MaxMessageLengthBytes=str(limit))
    builder = _Builder()
    parser = expat.ParserCreate("utf-8")  # whatever the document claims
    parser.buffer_text = True
    parser.buffer_size = 1 << 16
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = builder.refuse
    parser.EntityDeclHandler = builder.refuse
    parser.ProcessingInstructionHandler = builder.refuse
    try:
        parser.Parse(body, True)
    except expat.ExpatError:
        raise MalformedXML from None
    if builder.root is None or builder.root.name != root:
        raise MalformedXML
    return builder.root


def escape(text: str) -> str:
    """Text for an element's content, quotes included, as S3 writes them.

    Characters that XML 1.0 does not allow become references such as &#x1;, as in S3's listings: most parsers refuse
    them, which is what encoding-type=url is for, but none can be misled.
    """
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "<" in text:
        text = text.replace("<", "&lt;")
    if ">" in text:
        text = text.replace(">", "&gt;")
    if '"' in text:
        text = text.replace('"', "&quot;")
    if not text.isprintable():
        text = _SPECIAL.sub(lambda match: f"&#x{ord(match[0]):x};", text)
    return text


class Writer:
    """Builds a document.

    w = Writer("ListBucketResult"); w.leaf("Name", name); w.open("Owner"); w.leaf("ID", id); w.close(); w.bytes()
    """

    __slots__ = ("_open", "_pieces")

    def __init__(self, root: str, xmlns: str = NAMESPACE) -> None:
        """`xmlns` may be empty."""
        attribute = f' xmlns="{xmlns}"' if xmlns else ""
        self._pieces = [f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}{attribute}>']
        self._open = [root]

    def open(self, name: str, attributes: str = "") -> None:
        """Begin an element. `attributes`: markup, such as 'xmlns:xsi="..." xsi:type="CanonicalUser"'."""
        self._pieces.append(f"<{name} {attributes}>" if attributes else f"<{name}>")
        self._open.append(name)

    def leaf(self, name: str, value: str | int) -> None:
        """An element with text, escaped. True and False become "true" and "false"."""
        if isinstance(value, str):
            self._pieces.append(f"<{name}>{escape(value)}</{name}>")
        elif value is True or value is False:
            self._pieces.append(f"<{name}>{'true' if value else 'false'}</{name}>")
        else:
            self._pieces.append(f"<{name}>{value}</{name}>")

    def raw(self, markup: str) -> None:
        """Markup that is escaped already, for hot loops: f"<Key>{escape(key)}</Key>"."""
        self._pieces.append(markup)

    def close(self) -> None:
        """End the element that was opened last."""
        self._pieces.append(f"</{self._open.pop()}>")

    def bytes(self) -> bytes:
        """The whole document in UTF-8, with all elements ended."""
        while self._open:
            self.close()
        return "".join(self._pieces).encode("utf-8", "replace")
