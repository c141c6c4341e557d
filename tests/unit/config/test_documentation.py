"""docs/configuration.md has one row for each setting, and each row says what the code says."""

from pathlib import Path

from ironbucket.cli import options
from ironbucket.config import FIELDS, default

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def row(name: str) -> str:
    about = FIELDS[name]
    standard = options.shown(default(name))
    help_text = about.help.replace("|", "\\|")
    return f"| `{name.upper()}` | `{standard}` | {'yes' if about.reloadable else 'restart'} | {help_text} |"


def test_every_setting_is_documented_as_it_is() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    expected = [row(name) for name in FIELDS]
    assert rows == expected, "the rows should be:\n" + "\n".join(expected)
