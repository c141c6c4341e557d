"""The reader takes what clients send and nothing that could hurt; the writer writes what any parser reads back."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket.errors import MalformedXML, MaxMessageLengthExceeded
from ironbucket.s3 import xml

DELETE = b"""<?xml version="1.0" encoding="UTF-8"?>
<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <!-- a comment -->
  <Quiet>true</Quiet>
  <Object><Key> a &amp; b\xc3\xa4 </Key></Object>
  <s3:Object xmlns:s3="urn:x"><s3:Key><![CDATA[<c>]]></s3:Key><VersionId/></s3:Object>
</Delete>"""


def test_elements_by_local_name_with_their_text_as_it_is() -> None:
    root = xml.parse(DELETE, "Delete")
    assert root.value("Quiet") == "true"
    assert [child.value("Key") for child in root.all("Object")] == [" a & bä ", "<c>"]
    assert [child.name for child in root] == ["Quiet", "Object", "Object"]
    assert root.text == ""


def test_missing_and_empty_elements() -> None:
    root = xml.parse(DELETE, "Delete")
    assert root.all("Object")[1].value("VersionId", "none") == ""
    assert root.value("Absent", "none") == "none"
    assert root.find("Absent") is None
    with pytest.raises(MalformedXML):
        root.value("Absent")


def test_attributes_by_local_name() -> None:
    root = xml.parse(b'<Grantee xmlns:xsi="urn:x" xsi:type="CanonicalUser"><ID>1</ID></Grantee>', "Grantee")
    assert root.attributes["type"] == "CanonicalUser"


LAUGHS = b"<!DOCTYPE Delete [<!ENTITY a 'ha'>" + b"".join(
    b"<!ENTITY %c '&%c;&%c;&%c;&%c;'>" % (n, n - 1, n - 1, n - 1, n - 1) for n in range(98, 120)
)

BAD = {
    "empty": b"",
    "blank": b"  ",
    "text": b"hello",
    "cut": b"<Delete><Quiet>tr",
    "unclosed": b"<Delete>",
    "crossed": b"<Delete><a></Delete></a>",
    "two roots": b"<Delete/><Delete/>",
    "another root": b"<Remove/>",
    "billion laughs": LAUGHS + b"]><Delete>&w;</Delete>",
    "doctype": b"<!DOCTYPE Delete><Delete/>",
    "external entity": b'<!DOCTYPE Delete [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete>&x;</Delete>',
    "external doctype": b'<!DOCTYPE Delete SYSTEM "http://127.0.0.1/x.dtd"><Delete/>',
    "unknown entity": b"<Delete>&nbsp;</Delete>",
    "processing instruction": b"<Delete><?php x ?></Delete>",
    "style sheet": b'<?xml-stylesheet href="x"?><Delete/>',
    "control character": b"<Delete>\x01</Delete>",
    "control reference": b"<Delete>&#1;</Delete>",
    "bad utf-8": b"<Delete>\xff</Delete>",
    "deep": b"<Delete>" + b"<a>" * 20 + b"</a>" * 20 + b"</Delete>",
    "deep and unclosed": b"<a>" * 100_000,
    "many": b"<Delete>" + b"<a/>" * 100_001 + b"</Delete>",
    "same attribute twice": b"<Delete a='1' a='2'/>",
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_what_is_not_a_plain_document_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedXML):
        xml.parse(body, "Delete")


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "no-such-encoding", "rot13", "idna"])
def test_the_declared_encoding_does_not_matter(encoding: str) -> None:
    body = f'<?xml version="1.0" encoding="{encoding}"?><Delete><Key>ä</Key></Delete>'.encode()
    assert xml.parse(body, "Delete").value("Key") == "ä"


def test_a_byte_order_mark_is_believed() -> None:
    assert xml.parse("<Delete><Key>ä</Key></Delete>".encode("utf-16"), "Delete").value("Key") == "ä"
    assert xml.parse(b"\xef\xbb\xbf<Delete/>", "Delete").name == "Delete"


def test_the_limit_is_the_callers() -> None:
    assert xml.parse(b"<Delete/>", "Delete", limit=9).children == []
    with pytest.raises(MaxMessageLengthExceeded):
        xml.parse(b"<Delete/>", "Delete", limit=8)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_malformed(body: bytes) -> None:
    with pytest.raises(MalformedXML):
        xml.parse(b"<Delete>" + body, "Delete")


XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=[chr(c) for c in range(32) if c not in (9, 10)]).filter(
        lambda c: c not in "\ufffe\uffff"
    )
)


@given(XML_TEXT)
def test_what_the_writer_writes_is_read_back(text: str) -> None:
    writer = xml.Writer("Root")
    writer.open("Owner")
    writer.leaf("Key", text)
    writer.close()
    writer.raw(f"<Raw>{xml.escape(text)}</Raw>")
    document = writer.bytes()
    root = ElementTree.fromstring(document)
    assert root.tag == f"{{{xml.NAMESPACE}}}Root"
    ours = xml.parse(document, "Root")
    assert [child.value("Key") for child in ours.all("Owner")] == [text]
    assert ours.value("Raw") == text


def test_the_writer_writes_numbers_booleans_attributes_and_closes_what_is_open() -> None:
    writer = xml.Writer("A", xmlns="")
    writer.leaf("N", 5)
    writer.leaf("T", True)
    writer.leaf("F", False)
    writer.open("B", 'x:type="y"')
    writer.open("C")
    assert writer.bytes() == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<A><N>5</N><T>true</T><F>false</F><B x:type="y"><C></C></B></A>'
    )


def test_characters_that_xml_forbids_are_written_as_s3_writes_them() -> None:
    assert xml.escape("a\x01\x1b\r\n\t\x7f") == "a&#x1;&#x1b;&#xd;\n\t&#x7f;"
    assert xml.escape('<"&">') == "&lt;&quot;&amp;&quot;&gt;"
    assert xml.escape("\ufffeä€") == "&#xfffe;ä€"
