"""nginx in front of the nodes of `ironbucket local`: found or installed, configured from production's templates."""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ironbucket.cli.processes import HOST, Process

_INSTALL = "apt-get install -y --no-install-recommends nginx-light"
_TEMPLATES = Path(__file__).resolve().parents[2] / "nginx"
_POLICY = Path("/usr/sbin/policy-rc.d")


class NoBalancer(Exception):
    """There can be no load balancer here; the message says what would change that."""


def program() -> str:
    """The path of nginx, installed if this process may. Raises NoBalancer."""
    if not (_TEMPLATES / "render").exists():
        raise NoBalancer(f"the templates of nginx are not here ({_TEMPLATES}): run this in a clone of the repository")
    if importlib.util.find_spec("jinja2") is None:
        raise NoBalancer("the templates of nginx need jinja2: pip install jinja2")
    found = _find()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"nginx is not installed; installing it: {_INSTALL}", flush=True)
        _install()
        found = _find()
    if found is None:
        raise NoBalancer(f"nginx is not installed. This installs it: sudo {_INSTALL}")
    return found


def balancer(nginx: str, folder: Path, port: int, nodes: Sequence[tuple[str, int]]) -> Process:
    """nginx as a child process: (name, port) of each node behind `port` of the loopback, everything in `folder`.

    Raises NoBalancer when nginx refuses the configuration.
    """
    (folder / "temp").mkdir(parents=True, exist_ok=True)
    configuration, errors = folder / "nginx.conf", folder / "error.log"
    configuration.write_text(
        _render(
            upstream=[{"name": name, "address": f"{HOST}:{number}"} for name, number in nodes],
            # root keeps its rights: another user could not enter a data folder in root's home
            user="root" if os.geteuid() == 0 else "",
            address=HOST,
            port=port,
            pid_file=f"{folder}/nginx.pid",
            access_log=f"{folder}/access.log",
            error_log=str(errors),
            temp_directory=f"{folder}/temp",
            # relative to the folder it runs in: the address of a socket has 107 bytes at most
            socket="once.sock",
            workers=1,
            worker_connections=1024,
        ),
        encoding="utf-8",
    )
    command = [nginx, "-p", str(folder), "-c", str(configuration), "-e", str(errors)]

    def clear() -> None:
        (folder / "once.sock").unlink(missing_ok=True)  # left by one that was killed

    clear()
    tested = subprocess.run([*command, "-t"], cwd=folder, capture_output=True, text=True, check=False)
    if tested.returncode != 0:
        raise NoBalancer(f"nginx refuses its configuration: {tested.stderr.strip()}")
    return Process("nginx", [*command, "-g", "daemon off;"], folder / "nginx.out", folder, clear)


def _find() -> str | None:
    return shutil.which("nginx", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")


def _install() -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with _not_started():
        for command in ("apt-get update -q", _INSTALL):
            done = subprocess.run(command.split(), env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                print(f"{command}: {done.stderr.strip()}", flush=True)


@contextlib.contextmanager
def _not_started() -> Iterator[None]:
    """Debian starts a service when it installs it; this nginx is wanted as a program only. See invoke-rc.d(8)."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()


def _render(**variables: Any) -> str:
    loader = importlib.machinery.SourceFileLoader("nginx_render", str(_TEMPLATES / "render"))
    specification = importlib.util.spec_from_loader(loader.name, loader)
    if specification is None:
        raise NoBalancer(f"{_TEMPLATES}/render cannot be loaded")
    module = importlib.util.module_from_spec(specification)
    loader.exec_module(module)
    return str(module.render(**variables))
