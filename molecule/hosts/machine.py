"""One host: create, start, stop, cut its power, destroy.

A host is a supervisor process in a mount namespace of its own, which holds the host's disk and overlay and runs
systemd-nspawn; when the supervisor ends, the mounts end with it, and nothing is left mounted. nspawn ends with 133
when the host has asked for a reboot; the supervisor then starts it again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hosts import base, network
from hosts.settings import LabError, Settings

_CGROUPS = Path("/sys/fs/cgroup")
_REBOOT = 133
_EXT4_SHUTDOWN, _WITHOUT_FLUSH = 0x8004587D, 2


class Machine:
    """A host by its name. `address` is its IPv4 address."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings = settings
        self.name = name
        self.directory = settings.host(name)

    @property
    def exists(self) -> bool:
        return self.directory.is_dir()

    @property
    def address(self) -> str:
        self._must_exist()
        return (self.directory / "address").read_text().strip()

    @property
    def running(self) -> bool:
        supervisor = self._pid("supervisor.pid")
        return supervisor is not None and _alive(supervisor)

    @property
    def leader(self) -> int:
        """The host's PID 1, as this machine numbers it. Raises LabError for a host that is off."""
        nspawn = self._pid("nspawn.pid")
        if nspawn is not None:
            with contextlib.suppress(FileNotFoundError):
                children = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()
                if children:
                    return int(children[0])
        raise LabError(f"{self.name} is off")

    def create(self, address: str, hostname: str = "", disk: str = "", hosts: str = "") -> None:
        """Make and start the host. `disk`: size of a disk of its own (300M); `hosts`: more lines for /etc/hosts."""
        if self.exists:
            raise LabError(f"{self.name} exists: destroy it first")
        base.make(self.settings)
        network.up(self.settings)
        hostname = hostname or self.name
        etc = self.directory / "disk/upper/etc"
        for directory in (etc / "ssh", etc / "systemd/network", self.directory / "disk/work", self.directory / "root"):
            directory.mkdir(parents=True)
        (self.directory / "address").write_text(address)
        (self.directory / "hostname").write_text(hostname)
        (etc / "hostname").write_text(hostname + "\n")
        (etc / "resolv.conf").write_text("")
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n{address} {hostname}\n{hosts}")
        (etc / "systemd/network/10-host0.network").write_text(
            f"[Match]\nName=host0\n[Network]\nAddress={address}/24\nGateway={self.settings.gateway}\n"
            "LinkLocalAddressing=no\nIPv6AcceptRA=no\n"
        )
        key = etc / "ssh/ssh_host_ed25519_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", hostname, "-f", key], check=True)
        with open(self.settings.known_hosts, "a", encoding="ascii") as known:
            known.write(f"{address} {' '.join(key.with_suffix('.pub').read_text().split()[:2])}\n")
        for connection in self.settings.directory.glob("ssh-*"):  # kept open to a former host of this address
            connection.unlink(missing_ok=True)
        if disk:
            self._make_disk(disk)
        self.start()

    def _make_disk(self, size: str) -> None:
        image = self.directory / "disk.img"
        subprocess.run(["truncate", "-s", size, image], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-d", self.directory / "disk", image], check=True)
        shutil.rmtree(self.directory / "disk")
        (self.directory / "disk").mkdir()

    def start(self) -> None:
        """Switch the host on and wait until it answers by SSH."""
        self._must_exist()
        if self.running:
            return
        with open(self.directory / "console.log", "ab") as console:
            supervisor = subprocess.Popen(
                [
                    "unshare",
                    "--mount",
                    "--propagation",
                    "private",
                    sys.executable,
                    "-m",
                    "hosts",
                    "supervise",
                    self.name,
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        (self.directory / "supervisor.pid").write_text(str(supervisor.pid))
        self._await_ssh()

    def stop(self) -> None:
        """Shut the host down in order."""
        if self.running:
            os.kill(self._pid("nspawn.pid") or self.leader, signal.SIGTERM)
            self._await_off()

    def cut_power(self) -> None:
        """End the host at once. On a disk of its own, what was not synced is lost, as it is when power fails."""
        if not self.running:
            return
        if (self.directory / "disk.img").exists():
            mounted = os.open(f"/proc/{self._pid('supervisor.pid')}/root{self.directory}/disk", os.O_RDONLY)
            try:
                fcntl.ioctl(mounted, _EXT4_SHUTDOWN, struct.pack("I", _WITHOUT_FLUSH))
            finally:
                os.close(mounted)
        with contextlib.suppress(LabError):
            os.kill(self.leader, signal.SIGKILL)
        self._await_off()

    def reboot(self) -> None:
        """Reboot the host in order and wait until it answers again."""
        before = self.leader
        os.kill(before, signal.SIGINT)  # to systemd as PID 1: Ctrl-Alt-Del
        _wait(lambda: not _alive(before), 30, f"{self.name} does not go down")
        self._await_ssh()

    def destroy(self) -> None:
        """Remove the host and all that it has written."""
        if not self.exists:
            return
        address = self.address
        self.cut_power()
        for group in self._cgroups():
            with contextlib.suppress(OSError):
                (group / "cgroup.kill").write_text("1")
        self._remove_cgroups()
        if self.settings.known_hosts.exists():
            lines = self.settings.known_hosts.read_text().splitlines(keepends=True)
            self.settings.known_hosts.write_text("".join(line for line in lines if not line.startswith(f"{address} ")))
        shutil.rmtree(self.directory)

    def shell(self, command: list[str]) -> int:
        """Run a command in the host without its network; returns the exit status."""
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
        }
        enter = ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"]
        return subprocess.run([*enter, *(command or ["bash"])], env=environment).returncode

    # the supervisor

    def supervise(self) -> int:
        """Hold the host's mounts and run it, again after a reboot. Runs in a mount namespace of its own."""
        Path("/run/systemd/nspawn").mkdir(parents=True, exist_ok=True)
        _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run/systemd/nspawn")
        disk, root = self.directory / "disk", self.directory / "root"
        if (self.directory / "disk.img").exists():
            _mount("-o", "loop", str(self.directory / "disk.img"), str(disk))
        layers = f"lowerdir={base.path(self.settings)},upperdir={disk}/upper,workdir={disk}/work"
        _mount("-t", "overlay", "overlay", "-o", layers, str(root))
        status = _REBOOT
        while status == _REBOOT:
            status = self._boot(root)
            self._remove_cgroups()
        (self.directory / "nspawn.pid").unlink(missing_ok=True)
        (self.directory / "supervisor.pid").unlink(missing_ok=True)
        return status

    def _boot(self, root: Path) -> int:
        groups = list(self._cgroups())
        for group in groups:
            group.mkdir(parents=True, exist_ok=True)

        def enter_cgroups() -> None:  # else all hosts would share one
            for group in groups:
                (group / "cgroup.procs").write_text(str(os.getpid()))

        hostname = (self.directory / "hostname").read_text()
        identity = [f"--directory={root}", f"--machine={self.name}", f"--hostname={hostname}"]
        # nothing of this machine's: no machined, no journal, no resolver, no time zone, no files of settings
        alone = ["--register=no", "--keep-unit", "--link-journal=no", "--resolv-conf=off", "--timezone=off"]
        # IPAddressAllow= in units is a BPF program
        allowed = ["--capability=CAP_BPF,CAP_PERFMON", "--system-call-filter=bpf"]
        network_and_console = [f"--network-bridge={self.settings.bridge}", "--console=read-only", "--settings=no"]
        nspawn = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--boot", *identity, *alone, *allowed, *network_and_console],
            stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "TERM": "linux", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            preexec_fn=enter_cgroups,
        )
        (self.directory / "nspawn.pid").write_text(str(nspawn.pid))
        return nspawn.wait()

    # small things

    def _must_exist(self) -> None:
        if not self.exists:
            raise LabError(f"there is no host {self.name}")

    def _pid(self, name: str) -> int | None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((self.directory / name).read_text())
        return None

    def _cgroups(self) -> Iterator[Path]:
        """The host's groups: one in each hierarchy that has to be its own."""
        hierarchies = ("systemd", "unified", "memory")
        if not (_CGROUPS / "unified").is_dir():
            hierarchies = ("",)  # cgroup2 alone
        for hierarchy in hierarchies:
            if (_CGROUPS / hierarchy).is_dir():
                yield _CGROUPS / hierarchy / "ironbucket-lab" / self.name

    def _remove_cgroups(self) -> None:
        for group in self._cgroups():
            for _ in range(10):
                for directory, _, _ in os.walk(group, topdown=False):
                    with contextlib.suppress(OSError):
                        os.rmdir(directory)
                if not group.exists():
                    break
                time.sleep(0.1)
            with contextlib.suppress(OSError):
                group.parent.rmdir()

    def _await_ssh(self) -> None:
        def answers() -> bool:
            if not self.running:
                raise LabError(f"{self.name} has died: see {self.directory}/console.log")
            with contextlib.suppress(OSError), socket.create_connection((self.address, 22), timeout=1) as connection:
                return connection.recv(3) == b"SSH"
            return False

        _wait(answers, 60, f"{self.name} does not answer by SSH: see {self.directory}/console.log")

    def _await_off(self) -> None:
        _wait(lambda: not self.running, 30, f"{self.name} does not end")


def _wait(condition: Callable[[], bool], seconds: float, complaint: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise LabError(complaint)
        time.sleep(0.1)


def _alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not reaped yet does not."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return "State:\tZ" not in status and "State:\tX" not in status


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)
