"""The command line of the lab.

molecule/lab base                            make the shared root file system (once, a minute)
molecule/lab up NAME ADDRESS [--hostname H] [--disk 500M] [--hosts 'LINES']
molecule/lab start|stop|reboot|kill NAME     on, off in order, reboot in order, power cut
molecule/lab cut|heal NAME                   pull, plug the network cable
molecule/lab partition NAME NAME             drop traffic between two hosts;  unpartition: end all partitions
molecule/lab sh NAME COMMAND...              run a command inside, without network
molecule/lab rm NAME...                      destroy hosts
molecule/lab ls                              list hosts
molecule/lab purge                           destroy all hosts and the bridge (the base stays)

State is in LAB_DIR (/var/lib/ironbucket-lab), the bridge is LAB_BRIDGE, its network LAB_NET (10.88.0); parallel runs
on one bridge need other names and addresses, nothing else.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable

from hosts import base, network
from hosts.machine import Machine
from hosts.settings import LabError, Settings

_PROGRAMS = ("systemd-nspawn", "mmdebstrap", "nft", "ssh-keygen", "ip", "mkfs.ext4")


def _machines(settings: Settings) -> list[Machine]:
    directory = settings.directory / "hosts"
    return [Machine(settings, path.name) for path in sorted(directory.iterdir())] if directory.is_dir() else []


def _up(settings: Settings, arguments: argparse.Namespace) -> None:
    Machine(settings, arguments.name).create(
        arguments.address, arguments.hostname, arguments.disk, arguments.hosts.replace("\\n", "\n")
    )


def _rm(settings: Settings, arguments: argparse.Namespace) -> None:
    for name in arguments.names:
        Machine(settings, name).destroy()


def _ls(settings: Settings, _: argparse.Namespace) -> None:
    for machine in _machines(settings):
        print(machine.name, machine.address, "on" if machine.running else "off")


def _purge(settings: Settings, _: argparse.Namespace) -> None:
    for machine in _machines(settings):
        machine.destroy()
    network.down(settings)


def _partition(settings: Settings, arguments: argparse.Namespace) -> None:
    network.partition(Machine(settings, arguments.name).address, Machine(settings, arguments.other).address)


def _power(action: str) -> Callable[[Settings, argparse.Namespace], None]:
    return lambda settings, arguments: getattr(Machine(settings, arguments.name), action)()


def _sh(settings: Settings, arguments: argparse.Namespace) -> None:
    sys.exit(Machine(settings, arguments.name).shell(arguments.command))


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(prog="molecule/lab", usage=__doc__, add_help=False)
    commands = top.add_subparsers(required=True)

    def command(
        name: str, run: Callable[[Settings, argparse.Namespace], object], *names: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name)
        sub.set_defaults(run=run)
        for argument in names:
            sub.add_argument(argument)
        return sub

    command("base", lambda settings, _: base.make(settings))
    up = command("up", _up, "name", "address")
    for option in ("--hostname", "--disk", "--hosts"):
        up.add_argument(option, default="")
    for name, action in (("start", "start"), ("stop", "stop"), ("reboot", "reboot"), ("kill", "cut_power")):
        command(name, _power(action), "name")
    command("cut", lambda _, arguments: network.plug(arguments.name, False), "name")
    command("heal", lambda _, arguments: network.plug(arguments.name, True), "name")
    command("partition", _partition, "name", "other")
    command("unpartition", lambda *_: network.heal_all())
    command("sh", _sh, "name").add_argument("command", nargs=argparse.REMAINDER)
    command("rm", _rm).add_argument("names", nargs="*")
    command("ls", _ls)
    command("purge", _purge)
    command("supervise", lambda settings, arguments: sys.exit(Machine(settings, arguments.name).supervise()), "name")
    return top


def main(argv: list[str]) -> int:
    arguments = parser().parse_args(argv)
    missing = [program for program in _PROGRAMS if not shutil.which(program)]
    try:
        if os.geteuid() != 0:
            raise LabError("hosts need root")
        if missing:
            raise LabError(f"not installed: {', '.join(missing)} (molecule/prepare installs them)")
        arguments.run(Settings.from_environment(), arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
