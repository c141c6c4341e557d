"""The root file system that all hosts share: Debian with systemd, SSH, Python, and what scenarios ask for later.

Hosts reach no network but the bridge. Packages that a role installs are therefore downloaded into the base's cache
(`apt-get install` finds them there), and the S3 client's Python packages are installed into /opt/client.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from hosts.settings import LabError, Settings

INSTALLED = (
    "systemd,systemd-sysv,libpam-systemd,libnss-systemd,dbus,udev,python3,python3-apt,python3-venv,sudo,openssh-server,"
    "ca-certificates,iproute2,iputils-ping,procps,curl"
)
#: downloaded, not installed: a role has to ask for it
DOWNLOADED = ("nginx", "keepalived")
#: Python packages of the S3 client, in /opt/client
CLIENT = ("boto3",)

_MASKED = (
    "console-getty.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "systemd-networkd-wait-online.service",
)


def path(settings: Settings) -> Path:
    """Where the base is, or will be: the name changes with what is in it."""
    content = "\n".join([settings.suite, INSTALLED, *DOWNLOADED, *CLIENT, *_MASKED])
    return settings.directory / f"base-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def make(settings: Settings) -> Path:
    """Make the base unless it is there. Takes a minute. Raises LabError."""
    base = path(settings)
    if base.with_suffix(".ok").exists():
        return base
    (settings.directory / "hosts").mkdir(parents=True, exist_ok=True)
    shutil.rmtree(base, ignore_errors=True)
    with open(settings.directory / "base.log", "wb") as log:
        try:
            _bootstrap(settings, base, log)
            _add_packages(settings, base, log)
            _add_client(base, log)
            _add_access(settings, base, log)
        except subprocess.CalledProcessError as error:
            raise LabError(f"{error.cmd[0]} failed: see {settings.directory}/base.log") from error
    base.with_suffix(".ok").touch()
    return base


def _bootstrap(settings: Settings, base: Path, log: object) -> None:
    mirror = settings.mirror or own_mirror(settings.suite)
    options = ["--mode=root", "--variant=minbase", f"--include={INSTALLED}"]
    _run(["mmdebstrap", *options, settings.suite, base, mirror], log)


def own_mirror(suite: str) -> str:
    """Where this machine itself gets its packages."""
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(SITE)"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    sites = {release: site for release, _, site in (line.partition(" ") for line in reversed(targets))}
    if not sites:
        raise LabError("this machine has no package lists: run apt-get update, or set LAB_MIRROR")
    return sites.get(suite) or next(iter(sites.values()))


def _add_packages(settings: Settings, base: Path, log: object) -> None:
    site = settings.mirror or own_mirror(settings.suite)
    suite = settings.suite
    (base / "etc/apt/sources.list").write_text(
        f"deb {site} {suite} main\ndeb {site} {suite}-updates main\ndeb {site}-security {suite}-security main\n"
    )
    shutil.copy("/etc/resolv.conf", base / "etc/resolv.conf")
    apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
    _inside(base, [*apt, "update"], log)
    _inside(base, [*apt, "-o", "Dpkg::Options::=--force-confnew", "upgrade"], log)
    _inside(base, [*apt, "clean"], log)
    _inside(base, [*apt, "--download-only", "install", *DOWNLOADED], log)


def _add_client(base: Path, log: object) -> None:
    """The packages are fetched outside, by the first python3 on PATH that has pip, and installed inside."""
    wheels = base / "root/wheels"
    _run(
        ["python3", "-m", "pip", "download", "-q", "--only-binary=:all:", "--dest", wheels, *CLIENT],
        log,
    )
    _inside(base, ["/usr/bin/python3", "-m", "venv", "/opt/client"], log)
    _inside(base, ["/opt/client/bin/pip", "install", "-q", "--no-index", "--find-links", "/root/wheels", *CLIENT], log)
    shutil.rmtree(wheels)


def _add_access(settings: Settings, base: Path, log: object) -> None:
    for made_by_each_host in [
        *base.glob("etc/ssh/ssh_host_*"),
        base / "etc/hostname",
        base / "var/lib/dbus/machine-id",
    ]:
        made_by_each_host.unlink(missing_ok=True)
    (base / "etc/machine-id").write_text("")
    _inside(base, ["systemctl", "-q", "enable", "systemd-networkd"], log)
    _inside(base, ["systemctl", "-q", "mask", *_MASKED], log)
    _inside(base, ["useradd", "--create-home", "--shell", "/bin/bash", "ansible"], log)
    sudoers = base / "etc/sudoers.d/ansible"
    sudoers.write_text("ansible ALL=(ALL) NOPASSWD:ALL\n")
    sudoers.chmod(0o440)
    if not settings.key.exists():
        _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ironbucket-lab", "-f", settings.key], log)
    for home in ("root", "home/ansible"):
        directory = base / home / ".ssh"
        directory.mkdir(mode=0o700, exist_ok=True)
        keys = directory / "authorized_keys"
        shutil.copy(settings.key.with_suffix(".pub"), keys)
        keys.chmod(0o600)
    _inside(base, ["chown", "-R", "ansible:", "/home/ansible/.ssh"], log)


def _run(command: list[object], log: object) -> None:
    subprocess.run([str(word) for word in command], stdout=log, stderr=subprocess.STDOUT, check=True)  # type: ignore[call-overload]


def _inside(base: Path, command: list[str], log: object) -> None:
    """Run `command` in the base, with a /proc of its own that ends with it."""
    chroot = 'mount -t proc proc "$0/proc"; exec chroot "$0" "$@"'
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
    }
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--propagation", "private", "sh", "-c", chroot, str(base), *command],
        stdout=log,  # type: ignore[call-overload]
        stderr=subprocess.STDOUT,
        env=environment | proxies,
        check=True,
    )
