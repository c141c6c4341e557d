"""What commands share when they print: times, sizes, names that cannot harm a terminal, progress."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from tqdm import tqdm


def moment(ms: int) -> str:
    """Unix milliseconds as UTC, RFC 3339."""
    try:
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(ms // 1000))}.{ms % 1000:03d}Z"
    except (ValueError, OverflowError, OSError):  # a stamp beyond any calendar is shown as it is
        return f"{ms} ms"


def amount(size: int) -> str:
    """Bytes in the largest unit that leaves at least 1: `1.5 GiB`."""
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    power = min(max(size.bit_length() - 1, 0) // 10, len(units) - 1)
    return f"{size / 1024**power:.1f} {units[power]}" if power else f"{size} B"


def safe(text: str) -> str:
    """Text of clients' making, for a terminal: what is not printable is shown as an escape and cannot act."""
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(one if one.isprintable() and one != "\\" else one.encode("unicode_escape").decode() for one in text)


class Progress:
    """Shows long work on a terminal, on standard error, and nothing elsewhere. Called with (what, done, total or 0)."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._bar: tqdm[NoReturn] | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def clear(self) -> None:
        """Make room for a line of output; the next call shows the bar again."""
        if self._bar is not None:
            self._bar.clear()

    def __call__(self, what: str, done: int, total: int) -> None:
        if not self._shown:
            return
        if self._bar is None:
            from tqdm import tqdm  # 60 ms that only a terminal pays

            self._bar = tqdm(desc=what, total=total or None, unit="", dynamic_ncols=True, file=sys.stderr, leave=False)
        self._bar.set_description(what, refresh=False)
        self._bar.total = total or None
        self._bar.update(done - self._bar.n)
