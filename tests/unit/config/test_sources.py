"""Environment, file, flags: which outweighs which, and that everything wrong is named at once."""

import os
from pathlib import Path

import pytest

from ironbucket.config import FIELDS, SERVER_NEEDS, inspect, load
from ironbucket.errors import ConfigurationError

KEYS = {"ACCESS_KEY": "root", "SECRET_KEY": "correct horse"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yml"
    path.touch(mode=0o600)
    return path


def problems_of(text: str, config: Path) -> str:
    config.write_text(text)
    return "\n".join(inspect({}, str(config)).problems)


def test_nothing_given_gives_the_defaults() -> None:
    loaded = inspect({})
    assert loaded.problems == loaded.warnings == []
    assert set(loaded.origins.values()) == {"default"}
    assert list(loaded.origins) == list(FIELDS)


def test_a_file_outweighs_the_environment_and_a_flag_outweighs_both(config: Path) -> None:
    config.write_text("port: 2\nregion: file-1\n")
    environ = {"PORT": "1", "REGION": "env-1", "NODE_ID": "env"}
    loaded = inspect(environ, str(config), {"port": "3"})
    assert (loaded.settings.port, loaded.settings.region, loaded.settings.node_id) == (3, "file-1", "env")
    assert loaded.origins["port"] == "flag --port"
    assert loaded.origins["region"] == f"file {config}"
    assert loaded.origins["node_id"] == "environment NODE_ID"


def test_the_specifications_environment() -> None:
    settings = load(
        KEYS
        | {
            "STORAGE_PATH": "/s3",
            "WAL_ENABLED": "true",
            "WAL_PATH": "/wal/wal.log",
            "STATE_PATH": "/state/replicator.state",
            "NODE_ID": "node-1",
            "CLUSTER_NODES": "ironbucket-node2:9000,ironbucket-node3:9000",
            "CLUSTER_SECRET": "a secret of the cluster",
            "BATCH_INTERVAL": "5000",
            "MAX_BATCH_SIZE": "1000",
        },
        needs=SERVER_NEEDS,
    )
    assert settings.storage_path == "/s3"
    assert settings.cluster_nodes == ("ironbucket-node2:9000", "ironbucket-node3:9000")
    assert (settings.batch_interval, settings.max_batch_size) == (5000, 1000)


def test_every_setting_can_come_from_the_environment() -> None:
    """A value that no reader accepts is complained about under each name: so each name is read."""
    found = inspect({name.upper(): "\x00" for name in FIELDS}).problems
    assert {problem.split("=")[0].split(" ")[0] for problem in found} == {name.upper() for name in FIELDS}


def test_an_empty_variable_is_not_set() -> None:
    loaded = inspect({"CLUSTER_NODES": "", "PORT": ""})
    assert loaded.origins["port"] == "default"


def test_all_problems_are_named_at_once() -> None:
    environ = {"PORT": "x", "SECRET_KEY": "short", "WAL_ENABLED": "maybe"}
    with pytest.raises(ConfigurationError) as caught:
        load(environ, needs=SERVER_NEEDS)
    text = str(caught.value)
    assert text.startswith("4 problems")
    assert "PORT=x (environment PORT) must be a whole number" in text
    assert "WAL_ENABLED=maybe" in text
    assert "ACCESS_KEY is not set" in text
    assert "SECRET_KEY is not set" not in text, "it is set, and refused"
    assert "short" not in text, "a refused secret is not repeated"
    assert caught.value.exit_status == 2


def test_a_single_problem_is_a_single_line() -> None:
    with pytest.raises(ConfigurationError, match=r"^PORT=x \(environment PORT\) must be") as caught:
        load({"PORT": "x"})
    assert "\n" not in str(caught.value)


def test_paths_are_made_absolute() -> None:
    assert load({"STORAGE_PATH": "data/../s3"}).storage_path == os.path.join(os.getcwd(), "s3")


def test_an_unknown_key_is_refused_with_the_nearest_name(config: Path) -> None:
    assert "unknown setting 'strage_path'; did you mean 'storage_path'?" in problems_of("strage_path: /s3", config)
    assert "check-config" in problems_of("colour: red", config)


def test_keys_may_be_written_like_variables(config: Path) -> None:
    config.write_text("NODE_ID: a\nstorage-path: /s3\n")
    settings = load({}, str(config))
    assert (settings.node_id, settings.storage_path) == ("a", "/s3")


def test_values_of_the_file_have_the_right_type(config: Path) -> None:
    config.write_text(
        "wal_enabled: no\nport: 9001\nwal_flush_interval: 0.25\nbody_timeout: 5m\nmin_body_rate: 4KiB\n"
        "node_id: a\ncluster_nodes: [b:1, 'c:2']\ncluster_secret: 0123456789abcdefg\ndomain: [a.lan, b.lan]\n"
    )
    settings = inspect({}, str(config)).settings
    assert settings.wal_enabled is False
    assert (settings.port, settings.wal_flush_interval, settings.body_timeout) == (9001, 0.25, 300)
    assert settings.min_body_rate == 4096
    assert settings.cluster_nodes == ("b:1", "c:2")
    assert settings.domain == "a.lan,b.lan"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("secret_key: 1234567890", "put it in quotes"),
        ("node_id: 1", "put it in quotes"),
        ("port: true", "must not be true or false"),
        ("node_id: yes", "must not be true or false"),
        ("port:", "has no value"),
        ("port: [1, 2]", "must be a single value"),
        ("node_id: {a: b}", "must be a single value"),
        ("port: 9000.5", "whole number"),
        ("port: 1\nport: 2", "more than once"),
        ("port: 1\nPORT: 2", "set the same"),
        ("- port", "name: value"),
        ("port: [", "not valid YAML"),
        ("!!python/object/apply:os.getcwd []", "not valid YAML"),
    ],
)
def test_what_a_file_must_not_hold(text: str, expected: str, config: Path) -> None:
    assert expected in problems_of(text, config)


def test_a_broken_file_is_not_quoted(config: Path) -> None:
    found = problems_of("secret_key: 'hunter2hunter2\n", config)
    assert "not valid YAML" in found
    assert "line" in found
    assert "hunter2" not in found


def test_an_empty_file_and_a_missing_one(config: Path) -> None:
    assert problems_of("# nothing\n", config) == ""
    assert (
        "cannot read the configuration file /nowhere/x.yml: No such file" in inspect({}, "/nowhere/x.yml").problems[0]
    )


def test_a_file_with_secrets_that_all_can_read_is_warned_of(config: Path) -> None:
    config.write_text("secret_key: correct horse\n")
    config.chmod(0o644)
    assert "chmod 640" in inspect({}, str(config)).warnings[0]
    config.chmod(0o640)
    assert inspect({}, str(config)).warnings == []


def test_secrets_come_from_files(tmp_path: Path, config: Path) -> None:
    (tmp_path / "one").write_text("from a variable\n")
    (tmp_path / "two").write_text("from the yaml file")
    config.write_text("cluster_secret_file: two\n")  # beside the YAML file
    loaded = inspect({"SECRET_KEY_FILE": str(tmp_path / "one")}, str(config))
    assert loaded.settings.secret_key == "from a variable"
    assert loaded.settings.cluster_secret == "from the yaml file"
    assert loaded.origins["secret_key"] == "environment SECRET_KEY_FILE"
    settings = load({}, None, {"secret_key_file": str(tmp_path / "two")})
    assert settings.secret_key == "from the yaml file"


def test_a_variable_and_its_file_contradict() -> None:
    assert "both set" in inspect({"SECRET_KEY": "12345678", "SECRET_KEY_FILE": "/x"}).problems[0]


def test_an_unreadable_secret_is_a_problem_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff" * 20)
    for path, reason in ((tmp_path / "none", "No such file"), (tmp_path / "bytes", "not UTF-8")):
        found = inspect({"SECRET_KEY_FILE": str(path)} | {"ACCESS_KEY": "root"}, needs=SERVER_NEEDS).problems
        assert len(found) == 1
        assert reason in found[0]


def test_credentials_weigh_less_than_the_environment(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("from systemd's credential\n")
    (tmp_path / "access_key").write_text("credential\n")
    loaded = inspect({"CREDENTIALS_DIRECTORY": str(tmp_path), "ACCESS_KEY": "root"})
    assert loaded.settings.secret_key == "from systemd's credential"
    assert loaded.settings.access_key == "root"
    assert loaded.origins["secret_key"] == "credential secret_key"


def test_a_secret_as_a_flag_is_warned_of() -> None:
    assert "--secret-key-file" in inspect({}, None, {"secret_key": "12345678"}).warnings[0]


def test_debug_mode_as_the_specification_has_it() -> None:
    assert load({"RUST_LOG": "debug"}).log_level == "debug"
    assert load({"RUST_LOG": "debug", "LOG_LEVEL": "error"}).log_level == "error"
    assert load({"RUST_LOG": "hyper=trace,debug"}).log_level == "info"
