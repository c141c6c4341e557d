"""The table of operations says of each what the router does with it."""

from __future__ import annotations

import re
from pathlib import Path

from ironbucket.s3 import bucket_config, object_config, routes

TABLE = Path(__file__).parents[3] / "docs" / "s3-compatibility.md"
ROWS = re.findall(r"^\| ([A-Za-z0-9]+) \| (yes|differs|not yet|no) \| (.*) \|$", TABLE.read_text(), re.MULTILINE)
NOT_BUILT = (bucket_config.not_built, object_config.not_built)


def test_each_operation_is_there_once() -> None:
    names = [name for name, _, _ in ROWS]
    assert len(names) == len(set(names))
    assert {operation.name for operation in routes.ALL} <= set(names)


def test_what_is_supported_is_routed() -> None:
    built = {operation.name for operation in routes.ALL if operation.handler not in NOT_BUILT}
    older_forms = {"PutBucketLifecycle", "GetBucketLifecycle"}  # same requests as the newer ones
    assert {name for name, supported, _ in ROWS if supported in ("yes", "differs")} - older_forms <= built


def test_what_is_not_built_is_not_called_supported() -> None:
    unbuilt = {operation.name for operation in routes.ALL if operation.handler in NOT_BUILT}
    assert {name for name, supported, _ in ROWS if supported in ("not yet", "no")} >= unbuilt


def test_what_differs_says_how() -> None:
    assert all(how for _, supported, how in ROWS if supported == "differs")
