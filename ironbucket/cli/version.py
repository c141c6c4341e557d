"""`ironbucket version`: which IronBucket this is, and on what it runs."""

from __future__ import annotations

import argparse
import platform

from ironbucket import __version__


def arguments(parser: argparse.ArgumentParser) -> None:
    del parser  # takes none


def run(arguments: argparse.Namespace) -> int:
    del arguments
    print(f"ironbucket {__version__} (Python {platform.python_version()})")
    return 0
