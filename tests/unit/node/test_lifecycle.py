"""The lifecycle engine against a model written from the documentation, with calendar days instead of arithmetic."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ironbucket.clock import Stamp
from ironbucket.node.lifecycle import Action, aborts, decide, due, expiry
from ironbucket.store.model import Kind, Upload, Version

HOUR = 3_600_000
START = int(datetime(2024, 2, 26, tzinfo=UTC).timestamp()) * 1000  # a leap year's February


def version(
    ms: int, kind: Kind = Kind.OBJECT, key: str = "k", size: int = 1, tags: dict[str, str] | None = None
) -> Any:
    attributes = {"tags": tags} if tags else {}
    return Version("b", key, f"{ms:026}", False, kind, Stamp(ms, 0, "n"), size, "e", attributes)


def rule(**more: Any) -> dict[str, Any]:
    return {"id": "r", "enabled": True, "filter": {}, **more}


def midnight_after(ms: int, days: int) -> int:
    """The documentation's words: so many days later, and then the next midnight UTC."""
    day: date = datetime.fromtimestamp(ms / 1000, UTC).date() + timedelta(days=days + 1)
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def test_the_documentations_own_example() -> None:
    made = int(datetime(2014, 1, 15, 10, 30, tzinfo=UTC).timestamp()) * 1000
    assert due(made, 3) == int(datetime(2014, 1, 19, tzinfo=UTC).timestamp()) * 1000


@given(st.integers(START, START + 4000 * HOUR * 24), st.integers(1, 4000))
def test_a_period_ends_at_midnight(ms: int, days: int) -> None:
    assert due(ms, days) == midnight_after(ms, days)


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "prefix": st.sampled_from(["", "a", "a/", "b"]),
        "tags": st.dictionaries(st.sampled_from("xy"), st.sampled_from("12"), min_size=1),
        "larger": st.integers(0, 5),
        "smaller": st.integers(1, 8),
    },
)
EXPIRATIONS = st.one_of(
    st.just({}),
    st.builds(lambda days: {"expire_days": days}, st.integers(1, 4)),
    st.builds(lambda day: {"expire_date": START + day * 24 * HOUR}, st.integers(0, 8)),
    st.just({"expire_markers": True}),
)
NONCURRENT = st.one_of(
    st.just({}),
    st.builds(lambda days: {"noncurrent_days": days}, st.integers(1, 4)),
    st.builds(
        lambda days, keep: {"noncurrent_days": days, "noncurrent_keep": keep}, st.integers(1, 4), st.integers(1, 3)
    ),
)
RULES = st.lists(
    st.builds(
        lambda identity, enabled, chosen, first, second: {
            "id": identity,
            "enabled": enabled,
            "filter": chosen,
            **first,
            **second,
        },
        st.text("rst", min_size=1, max_size=3),
        st.booleans(),
        FILTERS,
        EXPIRATIONS,
        NONCURRENT,
    ),
    max_size=4,
)
HISTORIES = st.lists(
    st.tuples(
        st.integers(0, 240),
        st.sampled_from([Kind.OBJECT, Kind.OBJECT, Kind.DELETE_MARKER]),
        st.integers(0, 9),
        st.dictionaries(st.sampled_from("xy"), st.sampled_from("12")),
    ),
    max_size=5,
    unique_by=lambda one: one[0],
)


def wanted(one: Version, chosen: dict[str, Any]) -> bool:
    if not one.key.startswith(chosen.get("prefix", "")):
        return False
    has_more = any(name in chosen for name in ("tags", "larger", "smaller"))
    if one.kind is Kind.DELETE_MARKER:
        return not has_more
    if any(one.tags.get(name) != value for name, value in chosen.get("tags", {}).items()):
        return False
    if "larger" in chosen and not one.size > chosen["larger"]:
        return False
    return not ("smaller" in chosen and not one.size < chosen["smaller"])


def period_over(rule_: dict[str, Any], made: int, now: int) -> bool:
    if "expire_date" in rule_:
        return bool(rule_["expire_date"] <= now)
    return "expire_days" in rule_ and midnight_after(made, rule_["expire_days"]) <= now


def model(rules: list[dict[str, Any]], versions: list[Version], now: int) -> set[tuple[Action, str]]:
    """What the rules do, version by version, each looked at by itself."""
    found = set()
    for place, one in enumerate(versions):
        for rule_ in rules:
            if not rule_["enabled"] or not wanted(one, rule_["filter"]):
                continue
            if place == 0 and one.kind is Kind.OBJECT and period_over(rule_, one.stamp.ms, now):
                found.add((Action.EXPIRE, one.version))
            alone = place == 0 and one.kind is Kind.DELETE_MARKER and len(versions) == 1
            if alone and (rule_.get("expire_markers") or period_over(rule_, one.stamp.ms, now)):
                found.add((Action.REMOVE_MARKER, one.version))
            if place > 0 and "noncurrent_days" in rule_:
                replaced_at = versions[place - 1].stamp.ms
                newer_noncurrent = place - 1
                if newer_noncurrent >= rule_.get("noncurrent_keep", 0) and (
                    midnight_after(replaced_at, rule_["noncurrent_days"]) <= now
                ):
                    found.add((Action.REMOVE, one.version))
    return found


@given(RULES, st.sampled_from(["a", "a/b", "c"]), HISTORIES, st.integers(0, 400))
def test_decisions_are_the_models(
    rules: list[dict[str, Any]], key: str, history: list[tuple[int, Kind, int, dict[str, str]]], hours: int
) -> None:
    entries = sorted(history, key=lambda one: -one[0])
    versions = [version(START + hour * HOUR, kind, key, size, tags) for hour, kind, size, tags in entries]
    now = START + hours * HOUR
    decided = decide(rules, versions, now)
    assert {(one.action, one.version.version) for one in decided} == model(rules, versions, now)
    assert len({one.version.version for one in decided}) == len(decided)
    if versions and versions[0].kind is Kind.OBJECT:
        expires = expiry(rules, versions[0])
        assert (expires is not None and expires[0] <= now) == any(one.action is Action.EXPIRE for one in decided)


def test_the_earliest_rule_is_named() -> None:
    rules = [
        rule(id="late", expire_days=9),
        rule(id="early", expire_days=2),
        rule(id="off", enabled=False, expire_days=1),
    ]
    assert expiry(rules, version(START)) == (due(START, 2), "early")


def test_a_marker_counts_from_when_it_was_made() -> None:
    """An expiration's marker stands right behind what it saw; what it hid is noncurrent only since then."""
    made = START + 100 * 24 * HOUR
    marker = Version("b", "k", "m", False, Kind.DELETE_MARKER, Stamp(START, 1, "n"), 0, "", {"made": made})
    rules = [rule(noncurrent_days=1)]
    assert decide(rules, [marker, version(START)], made + HOUR) == []
    assert [one.action for one in decide(rules, [marker, version(START)], due(made, 1))] == [Action.REMOVE]


def test_uploads() -> None:
    upload = Upload("b", "tmp/x", "id", START + HOUR, {})
    rules = [
        rule(id="other", filter={"prefix": "logs/"}, abort_days=1),
        rule(id="tmp", filter={"prefix": "tmp/"}, abort_days=2),
    ]
    assert aborts(rules, upload, due(START, 2) - 1) is None
    assert aborts(rules, upload, due(START, 2)) == "tmp"
    assert aborts([rule(enabled=False, abort_days=1)], upload, START * 2) is None
