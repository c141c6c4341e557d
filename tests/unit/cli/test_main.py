"""The command line as a whole: dispatch, exit statuses, one clear line for each error."""

import argparse
import os
import subprocess
import sys

import pytest

from ironbucket import cli
from ironbucket.cli import version
from ironbucket.errors import AlreadyRunning

CLEAN = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ironbucket", *arguments],
        env=CLEAN | environ,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


def failing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    def fail(arguments: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(version, "run", fail)
    return cli.main(["version"])


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_every_command_has_its_help(command: cli.Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([command.name, "--help"])
    assert caught.value.code == 0
    assert command.help[1:20] in " ".join(capsys.readouterr().out.split())


def test_version() -> None:
    assert run("version").stdout.startswith("ironbucket 0.")
    assert run("--version").stdout.startswith("ironbucket 0.")


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["version", "--nonsense"], ["check-config", "--prot", "1"]])
def test_a_wrong_command_line_is_one_line_and_status_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("ironbucket: ")
    assert result.stderr.count("\n") == 1
    assert "--help" in result.stderr


def test_settings_are_taken_before_and_after_the_command() -> None:
    result = run("--port", "1", "--region", "lan", "check-config", "--port", "2", "--for", "any")
    assert result.returncode == 0
    assert "flag --port" in result.stdout
    assert "flag --region" in result.stdout


def test_an_error_is_one_line_with_its_own_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LOG_LEVEL", raising=False)
    assert failing(AlreadyRunning(), monkeypatch) == 75
    assert capsys.readouterr().err == "ironbucket: Another instance is running.\n"


def test_an_operating_system_error_names_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LOG_LEVEL", raising=False)
    assert failing(PermissionError(13, "Permission denied", "/s3/x"), monkeypatch) == 1
    assert capsys.readouterr().err == "ironbucket: /s3/x: Permission denied\n"


def test_a_bug_is_one_line_and_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LOG_LEVEL", raising=False)
    assert failing(KeyError("x"), monkeypatch) == 70
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setenv("LOG_LEVEL", "debug")
    assert failing(KeyError("x"), monkeypatch) == 70
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_no_error_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(KeyboardInterrupt(), monkeypatch) == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_leaves_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "ironbucket", "check-config"],
            env=CLEAN,
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert (result.returncode, result.stderr) == (141, "")


def test_a_command_imports_no_other_commands_libraries() -> None:
    """The replicator starts every few seconds: what only a server needs must not be paid for by all."""
    code = (
        "import sys; from ironbucket.cli import main; main(['check-config', '--for', 'any']); "
        "print(sorted(set(sys.modules) & {'yaml', 'bottle', 'cheroot', 'filelock', 'awscrt', 'tqdm', 'sqlite3', "
        "'socket', 'difflib', 'logging'}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=CLEAN, capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"
