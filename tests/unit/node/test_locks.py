"""The rules of object lock, against a model that says when a version may go."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ironbucket.clock import Stamp
from ironbucket.errors import AccessDenied, InvalidRequest
from ironbucket.node import locks
from ironbucket.store.model import Bucket, Kind, Version

LOCKED = Bucket("b", Stamp(1, 0, "n"), "o", {"object-lock": {"enabled": True}})
FREE = Bucket("b", Stamp(1, 0, "n"), "o", {})
RETENTIONS = st.none() | st.builds(
    lambda mode, until: {"mode": mode, "until": until},
    st.sampled_from(["GOVERNANCE", "COMPLIANCE"]),
    st.integers(0, 20),
)


def version(retention: dict[str, Any] | None, hold: bool | None) -> Version:
    attributes = {name: value for name, value in (("retention", retention), ("legal_hold", hold)) if value is not None}
    return Version("b", "k", "v", False, Kind.OBJECT, Stamp(1, 0, "n"), 1, "e", attributes)


def refused(check: Any, *arguments: Any, **named: Any) -> bool:
    try:
        check(*arguments, **named)
    except AccessDenied:
        return True
    return False


@given(RETENTIONS, st.none() | st.booleans(), st.integers(0, 20), st.booleans())
def test_when_a_version_may_go(retention: dict[str, Any] | None, hold: bool | None, now: int, bypass: bool) -> None:
    retained = retention is not None and now < retention["until"]
    opened = bypass and retention is not None and retention["mode"] == "GOVERNANCE"
    expected = bool(hold) or (retained and not opened)
    assert refused(locks.check_removal, version(retention, hold), now, bypass=bypass) == expected


@given(RETENTIONS, RETENTIONS, st.integers(0, 20))
def test_without_bypass_no_change_lets_a_version_go_earlier(
    old: dict[str, Any] | None, new: dict[str, Any] | None, now: int
) -> None:
    if refused(locks.check_update, LOCKED, version(old, None), "retention", new, now):
        return
    for moment in range(now, 22):
        for bypass in (False, True):
            before = refused(locks.check_removal, version(old, None), moment, bypass=bypass)
            after = refused(locks.check_removal, version(new, None), moment, bypass=bypass)
            assert after or not before


@given(RETENTIONS, RETENTIONS, st.integers(0, 20))
def test_a_bypass_never_weakens_compliance(old: dict[str, Any] | None, new: dict[str, Any] | None, now: int) -> None:
    if old is None or old["mode"] != "COMPLIANCE" or old["until"] <= now:
        return
    allowed = not refused(locks.check_update, LOCKED, version(old, None), "retention", new, now, bypass=True)
    assert allowed == (new is not None and new["mode"] == "COMPLIANCE" and new["until"] >= old["until"])


def test_a_bucket_without_locks() -> None:
    for kind in ("retention", "legal_hold"):
        try:
            locks.check_update(FREE, version(None, None), kind, None, 1)
        except InvalidRequest:
            continue
        raise AssertionError(kind)
    locks.check_update(FREE, version(None, None), "tags", {"a": "b"}, 1)


def test_default_retention() -> None:
    def bucket(**default: Any) -> Bucket:
        return Bucket("b", Stamp(1, 0, "n"), "o", {"object-lock": {"enabled": True, **default}})

    day = 86_400_000
    assert locks.placed(LOCKED, {}, 5) == {}
    assert locks.placed(bucket(mode="GOVERNANCE", days=2), {}, 5)["retention"]["until"] == 5 + 2 * day
    assert locks.placed(bucket(mode="COMPLIANCE", years=1), {}, 5)["retention"]["until"] == 5 + 365 * day
    assert locks.placed(bucket(mode="GOVERNANCE", days=2), {"retention": {"mode": "COMPLIANCE", "until": 9}}, 5) == {}
