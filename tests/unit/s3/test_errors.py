"""Every failure has a status, and a document that any XML parser can read."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket import errors
from ironbucket.s3.errors import STATUS, document, status

#: each S3 code has its class; a class below one of them refines it, and answers as it does
CLASSES = [cls for cls in vars(errors).values() if isinstance(cls, type) and errors.S3Error in cls.__bases__]


def test_every_s3_error_has_a_status() -> None:
    assert set(CLASSES) == set(STATUS)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_s3_error_makes_a_document(cls: type[errors.S3Error]) -> None:
    root = ElementTree.fromstring(document(cls(), "/bucket/key", "0123456789ABCDEF"))
    assert root.tag == "Error"
    assert [child.tag for child in root] == ["Code", "Message", "Resource", "RequestId", "HostId"]
    assert root.findtext("Code") == cls.__name__
    assert root.findtext("Message") == cls().message


def test_details_are_elements_if_they_are_named_as_elements() -> None:
    error = errors.NoSuchKey(Key="a&b", delete_marker="true", **{"X-Amz-Expires": "5"})
    root = ElementTree.fromstring(document(error, "/", "id"))
    assert root.findtext("Key") == "a&b"
    assert root.findtext("X-Amz-Expires") == "5"
    assert root.find("delete_marker") is None


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cn"])))
def test_the_resource_survives(resource: str) -> None:
    root = ElementTree.fromstring(document(errors.NoSuchKey(), resource, "id"))
    assert (root.findtext("Resource") or "") == resource


@given(st.text())
def test_no_text_prevents_the_answer(text: str) -> None:
    assert document(errors.InvalidArgument(text, ArgumentValue=text), text, text).endswith(b"</Error>")


def test_a_class_without_an_entry_is_an_internal_error_and_a_subclass_is_its_parent() -> None:
    assert status(errors.S3Error()) == 500
    assert status(type("Finer", (errors.NoSuchKey,), {})()) == 404
