"""Failpoints: named places where a test kills or breaks the program."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HIT_THREE = "from ironbucket import failpoints\nfor _ in range(3): failpoints.hit('here')\nprint('through')"


def run(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environ}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("armed", ["", "there:kill", "here:kill:4", "there:eio,elsewhere:kill"])
def test_unarmed_points_do_nothing(armed: str) -> None:
    assert run(HIT_THREE, FAILPOINT=armed).stdout == "through\n"


@pytest.mark.parametrize("armed", ["here", "here:kill", "here:kill:3", "there:eio, here:kill:2"])
def test_a_point_kills(armed: str) -> None:
    assert run(HIT_THREE, FAILPOINT=armed).returncode == -signal.SIGKILL


@pytest.mark.parametrize("action", ["enospc", "eio", "emfile"])
def test_a_point_fails_from_the_given_time_on(action: str) -> None:
    code = (
        "from ironbucket import failpoints\n"
        "for _ in range(4):\n"
        "    try: failpoints.hit('here'); print(0)\n"
        "    except OSError as error: print(error.errno)"
    )
    number = getattr(errno, action.upper())
    assert run(code, FAILPOINT=f"here:{action}:3").stdout.split() == ["0", "0", str(number), str(number)]


def test_a_file_arms_and_disarms(tmp_path: Path) -> None:
    code = (
        "import os\nfrom ironbucket import failpoints\nfailpoints.hit('here')\n"
        "open(os.environ['FAILPOINT_FILE'], 'w').write('here:eio')\n"
        "try: failpoints.hit('here')\n"
        "except OSError: print('failed')\n"
        "os.unlink(os.environ['FAILPOINT_FILE'])\nfailpoints.hit('here')\nprint('through')"
    )
    assert run(code, FAILPOINT_FILE=str(tmp_path / "armed")).stdout.split() == ["failed", "through"]
