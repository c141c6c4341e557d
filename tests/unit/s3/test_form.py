"""Forms as they stream in: against a plain parser of the whole, however the bytes arrive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket.errors import MalformedPOSTRequest, MaxPostPreDataLengthExceededError
from ironbucket.s3.form import Form, boundary
from tests.unit.s3.support import Source


def encode(fields: dict[str, str], file: bytes | None, after: bytes = b"", name: str = "f.txt") -> bytes:
    parts = [f'--XX\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode() for key, value in
             fields.items()]  # fmt: skip
    if file is not None:
        head = f'--XX\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: a/b\r\n\r\n'
        parts.append(head.encode() + file + b"\r\n")
    return b"".join(parts) + after + b"--XX--\r\n"


def read(form: Form, step: int) -> bytes:
    found = bytearray()
    buffer = memoryview(bytearray(step))
    while count := form.readinto(buffer):
        found += buffer[:count]
    return bytes(found)


@given(
    st.dictionaries(st.sampled_from(["key", "acl", "x-amz-meta-a"]), st.text("ab\u00e9 -", max_size=8)),
    st.lists(st.sampled_from([b"\r\n", b"--", b"XX", b"\r\n--X", b"-", b"a", b"\r\n--XY"]), max_size=12).map(b"".join),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_the_file_is_what_was_sent(fields: dict[str, str], file: bytes, step: int, size: int) -> None:
    if b"\r\n--XX" in b"\r\n" + file + b"\r\n":
        file = file.replace(b"XX", b"YY")
    form = Form(Source(encode(fields, file), step).readinto, b"XX")
    assert form.fields == fields
    assert form.has_file
    assert form.file_name == "f.txt"
    assert read(form, size) == file


def test_what_follows_the_file_is_ignored() -> None:
    after = b'--XX\r\nContent-Disposition: form-data; name="late"\r\n\r\nx\r\n'
    form = Form(Source(encode({"key": "a"}, b"1", after)).readinto, b"XX")
    assert read(form, 100) == b"1"
    assert "late" not in form.fields


@pytest.mark.parametrize("name", [r"C:\docs\f.txt", "/tmp/f.txt", "f.txt"])
def test_the_name_of_the_file(name: str) -> None:
    assert Form(Source(encode({}, b"", name=name)).readinto, b"XX").file_name == "f.txt"


def test_a_form_that_ends_early() -> None:
    whole = encode({"key": "a"}, b"1234567")
    for end in range(len(whole) - len(b"--\r\n")):
        source = Source(whole[:end])
        with pytest.raises(MalformedPOSTRequest):
            read(Form(source.readinto, b"XX"), 10)


def test_a_form_without_a_file() -> None:
    assert not Form(Source(encode({"key": "a"}, None)).readinto, b"XX").has_file


def test_fields_are_limited() -> None:
    with pytest.raises(MaxPostPreDataLengthExceededError):
        Form(Source(encode({"key": "a" * 21000}, b"")).readinto, b"XX")
    with pytest.raises(MaxPostPreDataLengthExceededError):
        Form(Source(encode({f"k{n}": "a" * 2000 for n in range(12)}, b"")).readinto, b"XX")


@pytest.mark.parametrize(
    "data",
    [b"--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XX--\r\n", b"--XXY\r\n\r\n\r\n--XX--\r\n",
     b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--XX--\r\n'],
)  # fmt: skip
def test_forms_that_are_none(data: bytes) -> None:
    with pytest.raises(MalformedPOSTRequest):
        Form(Source(data).readinto, b"XX")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b"', b"a b"),
        ("multipart/form-data; boundary=abc; charset=x", b"abc"),
        ("multipart/form-data", None),
        ("multipart/mixed; boundary=abc", None),
        ("text/plain", None),
    ],
)
def test_boundaries(text: str, expected: bytes | None) -> None:
    assert boundary(text) == expected
