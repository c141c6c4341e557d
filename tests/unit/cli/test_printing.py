"""What commands share when they print."""

import pytest

from ironbucket.cli import printing


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (10 << 30, "10.0 GiB"),
        (5 << 50, "5120.0 TiB"),
    ],
)
def test_amounts(size: int, expected: str) -> None:
    assert printing.amount(size) == expected


def test_moments() -> None:
    assert printing.moment(1759184567899) == "2025-09-29T22:22:47.899Z"
    assert printing.moment(10**30) == f"{10**30} ms"


def test_a_key_cannot_act_on_the_terminal() -> None:
    assert printing.safe("photos/für Anna.jpg") == "photos/für Anna.jpg"
    assert printing.safe("a\x1b[2J\n\\\x9b") == "a\\x1b[2J\\n\\\\\\x9b"


def test_no_progress_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with printing.Progress() as progress:
        progress("replaying", 1, 10)
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with printing.Progress() as progress:
        progress("replaying", 1, 10)
        progress("replaying", 10, 10)
    assert "replaying" in capsys.readouterr().err


def test_a_line_of_output_between_two_steps(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with printing.Progress() as progress:
        progress.clear()
        progress("comparing", 1, 10)
        progress.clear()
        assert capsys.readouterr().err.endswith("\r"), "the cursor is at the start of an empty line"
