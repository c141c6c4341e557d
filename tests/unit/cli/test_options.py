"""Flags follow the table of settings."""

import argparse

import pytest

from ironbucket.cli import options
from ironbucket.config import FIELDS, Settings
from ironbucket.errors import ConfigurationError


def parse(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    options.add_settings(parser)
    return parser.parse_args(argv)


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FIELDS:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("IRONBUCKET_CONFIG", raising=False)


def test_every_setting_has_its_flag() -> None:
    for name in FIELDS:
        assert getattr(parse("--" + name.replace("_", "-"), "x"), name) == "x"


def test_no_flags_give_the_defaults() -> None:
    assert options.settings(parse()) == Settings()


def test_flags_outweigh_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("REGION", "lan")
    settings = options.settings(parse("--port", "2"))
    assert (settings.port, settings.region) == (2, "lan")


def test_the_file_can_be_named_by_a_variable(monkeypatch: pytest.MonkeyPatch, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("c") / "c.yml"
    path.write_text("port: 3\n")
    monkeypatch.setenv("IRONBUCKET_CONFIG", str(path))
    assert options.settings(parse()).port == 3


def test_what_a_command_needs_is_asked_for() -> None:
    with pytest.raises(ConfigurationError, match="ACCESS_KEY is not set"):
        options.settings(parse(), ("access_key",))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "true"),
        ((), "none"),
        (("a:1", "b:2"), "a:1,b:2"),
        (0.25, "0.25"),
        (5.0, "5"),
        ("", "none"),
        (7e6, "7000000"),
    ],
)
def test_values_are_shown_as_they_would_be_set(value: object, expected: str) -> None:
    assert options.shown(value) == expected
