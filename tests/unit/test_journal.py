"""Log lines: one JSON object each, with no secret in it."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from ironbucket import journal

SECRET = 'pass"word\\of\tthe node'


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_an_object(stream: io.StringIO) -> None:
    journal.configure("info", stream)
    logging.getLogger("ironbucket.x").info("opened %s", "a\nb", extra={"fields": {"sequence": 7}})
    (line,) = lines(stream)
    assert line["message"] == "opened a\nb"
    assert line["sequence"] == 7
    assert (line["level"], line["name"]) == ("info", "ironbucket.x")
    assert line["time"].endswith("Z")
    assert len(line["time"]) == len("2026-01-02T03:04:05.678Z")
    assert "request_id" not in line


def test_the_level_decides(stream: io.StringIO) -> None:
    journal.configure("warning", stream)
    logging.getLogger("x").info("no")
    logging.getLogger("x").warning("yes")
    journal.configure("debug", stream)
    logging.getLogger("x").debug("yes")
    assert [line["message"] for line in lines(stream)] == ["yes", "yes"]


def test_the_request_that_is_served_is_named(stream: io.StringIO) -> None:
    journal.configure("info", stream)
    token = journal.request_id.set("0123456789ABCDEF")
    logging.getLogger("x").info("inside")
    journal.request_id.reset(token)
    logging.getLogger("x").info("outside")
    assert [line.get("request_id") for line in lines(stream)] == ["0123456789ABCDEF", None]


def test_an_exception_has_its_traceback(stream: io.StringIO) -> None:
    journal.configure("info", stream)
    try:
        raise ValueError("what")
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert "ValueError: what" in lines(stream)[0]["error"]


def test_no_secret_is_written_however_it_gets_there(stream: io.StringIO) -> None:
    journal.configure("info", stream, [SECRET, SECRET + "-longer", ""])
    log = logging.getLogger("x")
    log.info("key %s", SECRET + "-longer", extra={"fields": {"headers": {"x": SECRET}}})
    try:
        raise ValueError(SECRET)
    except ValueError:
        log.exception("failed")
    assert "word" not in stream.getvalue()
    assert "longer" not in stream.getvalue()
    assert lines(stream)[0]["message"] == f"key {journal.MASK}"
