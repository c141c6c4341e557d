"""The hybrid logical clock."""

from hypothesis import given
from hypothesis import strategies as st

from ironbucket.clock import Stamp, following, wall_ms

times = st.integers(0, 2**48)


@given(st.lists(times, min_size=1, max_size=30))
def test_stamps_rise_whatever_the_wall_clock_does(walls: list[int]) -> None:
    now, stamps = (0, 0), []
    for wall in walls:
        now = following(*now, wall)
        stamps.append(now)
    assert stamps == sorted(set(stamps))
    assert now[0] == max(walls) or walls == [0] * len(walls)


@given(times, st.integers(0, 100), times)
def test_a_stamp_is_as_little_ahead_of_the_wall_as_can_be(ms: int, logical: int, wall: int) -> None:
    after = following(ms, logical, wall)
    assert after > (ms, logical)
    assert after[0] == max(ms, wall)
    assert after[1] == (0 if wall > ms else logical + 1)


def test_ties_break_by_node_and_then_by_epoch() -> None:
    assert Stamp(1, 0, "b", "1") > Stamp(1, 0, "a", "2") > Stamp(1, 0, "a", "1")
    assert Stamp(1, 1, "a") > Stamp(1, 0, "b")


def test_the_wall_clock_counts_milliseconds() -> None:
    assert 1_500_000_000_000 < wall_ms() < 10_000_000_000_000
