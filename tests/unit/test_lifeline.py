"""A child ends with its parent, also when that is killed."""

import os
import signal
import subprocess
import sys

CHILD = "import time; time.sleep(600)"
PARENT = """
import functools, os, subprocess, sys, time
from ironbucket import lifeline
bound = functools.partial(lifeline.end_with, os.getpid())
child = subprocess.Popen([sys.executable, "-c", {child!r}], preexec_fn=bound)
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_child_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT.format(child=CHILD)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        # the pipe is the child's too: it ends when the last of the two has gone
        assert parent.stdout.read() == b""
    assert parent.returncode == -signal.SIGKILL
    os.close(child)


def test_a_child_that_comes_too_late_ends_too() -> None:
    code = "import time; from ironbucket import lifeline; lifeline.end_with(1); time.sleep(600)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGTERM
