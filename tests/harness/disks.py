"""File systems that can be filled and that can lose power: loop devices and tmpfs. Root only.

Power loss: the `shutdown` ioctl without a flush of the journal (XFS_IOC_GOINGDOWN and EXT4_IOC_SHUTDOWN are one
number) leaves on the device exactly what had been written to it, as a power cut does. Then unmount and mount
again: the file system replays its own journal.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import subprocess
from pathlib import Path

from tests.harness.process import wait_until

_SHUTDOWN = 0x8004587D  # _IOR('X', 125, u32)
_WITHOUT_LOG_FLUSH = struct.pack("I", 2)
_MAKE = {
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
}
#: mkfs.xfs refuses anything smaller
SMALLEST = {"xfs": 300 << 20, "ext4": 16 << 20}


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"


class Disk:
    """A mounted file system; `path` is its root. `kind`: xfs, ext4 (on a loop device) or tmpfs."""

    def __init__(self, directory: Path, kind: str, size: int) -> None:
        self.kind = kind
        self.path = directory / f"{kind}-mount"
        self.image = directory / f"{kind}.img"
        self._ballast = self.path / "ballast"
        self.path.mkdir(parents=True)
        if kind == "tmpfs":
            _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(self.path))
            return
        size = max(size, SMALLEST[kind])
        with self.image.open("wb") as file:
            file.truncate(size)
        _run(*_MAKE[kind], str(self.image))
        self.mount()

    def mount(self) -> None:
        _run("mount", "-o", "loop,noatime", str(self.image), str(self.path))

    def unmount(self) -> None:
        def tried() -> bool:
            return subprocess.run(["umount", str(self.path)], capture_output=True, check=False).returncode == 0

        wait_until(tried, f"{self.path} unmounted (is a process still using it?)", timeout=20, interval=0.1)

    def cut_power(self) -> None:
        """From now on every write fails, and nothing that was not synced will be there again."""
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(directory, _SHUTDOWN, _WITHOUT_LOG_FLUSH)
        finally:
            os.close(directory)

    def return_power(self) -> None:
        """Unmount and mount again; every process that had files open there must have ended."""
        self.unmount()
        self.mount()

    def fill(self, leave: int = 0) -> None:
        """Use up all space but about `leave` bytes."""
        with self._ballast.open("ab") as file:
            for size in (1 << 20, 1 << 16, 1 << 12, 512):
                block = b"\xff" * size
                with contextlib.suppress(OSError):
                    while self.free() > leave or leave == 0:
                        written = os.write(file.fileno(), block)
                        if written < size:
                            break
            with contextlib.suppress(OSError):
                os.fsync(file.fileno())

    def drain(self) -> None:
        """Give back what `fill` took."""
        self._ballast.unlink()
        os.sync()

    def free(self) -> int:
        stat = os.statvfs(self.path)
        return stat.f_bavail * stat.f_frsize

    def close(self) -> None:
        if os.path.ismount(self.path):
            self.unmount()
        with contextlib.suppress(FileNotFoundError):
            self.image.unlink()


def is_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
