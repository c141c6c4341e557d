"""The table of settings, and what a running process may change."""

import dataclasses
import os

import pytest

from ironbucket.config import FIELDS, Settings, default, reloaded

SECRETS = {"secret_key": "wJalrXUtnFEMI", "cluster_secret": "0123456789abcdef0123"}


def test_every_setting_is_described_and_its_default_is_what_its_reader_makes() -> None:
    for name, about in FIELDS.items():
        assert about.help, name
        value = default(name)
        if value not in ("", ()):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            assert about.read(text) == value, name


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


def test_secrets_are_in_no_representation() -> None:
    settings = Settings(**SECRETS)
    for text in (repr(settings), str(settings), f"{settings}", repr(settings.shown())):
        assert not [secret for secret in SECRETS.values() if secret in text]
        assert "(set)" in text
    assert "(not set)" in repr(Settings())


def test_every_setting_that_sounds_secret_is_marked() -> None:
    assert {name for name in FIELDS if "secret" in name} == {name for name, about in FIELDS.items() if about.secret}


def test_lists_are_taken_apart() -> None:
    settings = Settings(domain="a.lan,b.lan", cluster_nodes=("b:1", "[::1]:2"))
    assert settings.domains == ("a.lan", "b.lan")
    assert settings.peers == (("b", 1), ("::1", 2))
    assert Settings().domains == ()


def test_workers_default_to_the_processors_that_this_process_may_use() -> None:
    assert Settings().processes == len(os.sched_getaffinity(0))
    assert Settings(workers=3).processes == 3


def test_a_reload_takes_what_can_change_and_names_the_rest() -> None:
    old = Settings(port=9000, log_level="info", node_id="a", **SECRETS)
    new = dataclasses.replace(old, port=9001, log_level="debug", node_id="b", secret_key="another secret")
    settings, waiting = reloaded(old, new)
    assert waiting == ("node_id", "port")
    assert settings == dataclasses.replace(old, log_level="debug", secret_key="another secret")


def test_a_reload_of_the_same_changes_nothing() -> None:
    old = Settings(port=9001)
    assert reloaded(old, dataclasses.replace(old)) == (old, ())
