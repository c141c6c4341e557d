"""Text to value: what is accepted, and that nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket.config import values


@pytest.mark.parametrize("word", ["true", "TRUE", "yes", "1"])
def test_true(word: str) -> None:
    assert values.boolean(word) is True


@pytest.mark.parametrize("word", ["false", "No", "0"])
def test_false(word: str) -> None:
    assert values.boolean(word) is False


@pytest.mark.parametrize("word", ["", "on", "off", "t", "2", "truee", " true", "None"])
def test_a_word_that_is_neither_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="true, false"):
        values.boolean(word)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("2.5", 2.5), ("500ms", 0.5), ("30s", 30), ("5m", 300), ("2h", 7200), ("7d", 604_800), ("1 w", 604_800)],
)
def test_durations(text: str, expected: float) -> None:
    assert values.seconds(text) == expected


@pytest.mark.parametrize("text", ["", "s", "-1", "1e3", "5 minutes", "nan", "inf", "1,5", "٣", "5x", "0x10"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="30s"):
        values.seconds(text)


def test_a_timeout_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 0"):
        values.positive_seconds("0s")


@pytest.mark.parametrize(("text", "expected"), [("5000", 5000), ("5s", 5000), ("250ms", 250), ("1m", 60_000)])
def test_milliseconds_are_the_unit_of_a_bare_number(text: str, expected: int) -> None:
    assert values.milliseconds(text) == expected


@pytest.mark.parametrize("text", ["0", "0.2ms"])
def test_less_than_a_millisecond_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at least 1 ms"):
        values.milliseconds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("4096", 4096), ("64KiB", 65_536), ("10GiB", 10 << 30), ("5MB", 5_000_000), ("1.5 kib", 1536)],
)
def test_sizes(text: str, expected: int) -> None:
    assert values.size(text) == expected


@pytest.mark.parametrize("text", ["", "GiB", "10G", "10 gigs", "-1", "1e9"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="10GiB"):
        values.size(text)


@given(st.integers(0, 2**40), st.sampled_from(["", "B", "KiB", "GiB"]))
def test_a_size_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert values.size(f"{number}{unit}") == number * {"": 1, "B": 1, "KiB": 1024, "GiB": 1024**3}[unit]


@pytest.mark.parametrize("text", ["0", "65536", "-1", "9000.0", "٩", "1_000", " 9", "", "9" * 30])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(ValueError, match="from 1 to 65535"):
        values.integer(1, 65535)(text)


@pytest.mark.parametrize("text", ["node-1", "a", "1", "x" * 32, "a--b"])
def test_node_ids(text: str) -> None:
    assert values.node_id(text) == text


@pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a_b", "a.b", "a\tb", "a\n", "a/b", "ä", "x" * 33])
def test_what_is_no_node_id(text: str) -> None:
    with pytest.raises(ValueError, match="node-1"):
        values.node_id(text)


@given(st.text())
def test_a_node_id_is_safe_in_a_log_line_and_in_a_file_name(text: str) -> None:
    try:
        values.node_id(text)
    except ValueError:
        return
    assert text.isascii()
    assert not set(text) & set("\t\n\r\0\\/.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node-2:9000", ("node-2", 9000)),
        ("Node-2.LAN:1", ("node-2.lan", 1)),
        ("10.0.0.2:65535", ("10.0.0.2", 65535)),
        ("[::1]:9000", ("::1", 9000)),
        ("[FD00::2]:9000", ("fd00::2", 9000)),
    ],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert values.address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "node-2",
        ":9000",
        "node-2:",
        "node-2:0",
        "node-2:http",
        "::1:9000",
        "[::1]",
        "[nonsense:x]:9000",
        "10.0.0.256:9000",
        "10.0.0:9000",
        "-a:9000",
        "a_b:9000",
        "http://node-2:9000",
        "node-2:9000/",
        "a b:9000",
        "a..b:9000",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="'"):
        values.address(text)


def test_a_list_of_nodes() -> None:
    assert values.addresses(" a:1 ,[::1]:2,, ") == ("a:1", "[::1]:2")
    assert values.addresses("") == ()


def test_a_node_listed_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="a:1 more than once"):
        values.addresses("a:1,b:1,A:1")


@pytest.mark.parametrize("text", ["root", "AKIAIOSFODNN7EXAMPLE", "a.b@c+d"])
def test_access_keys(text: str) -> None:
    assert values.access_key(text) == text


@pytest.mark.parametrize("text", ["ab", "a/bc", "a,bc", "a=bc", "a bc", "äbc", "abc\n", "x" * 129])
def test_what_is_no_access_key(text: str) -> None:
    with pytest.raises(ValueError, match="3 to 128"):
        values.access_key(text)


def test_weak_secrets_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 8"):
        values.secret_key("1234567")
    with pytest.raises(ValueError, match="at least 16"):
        values.cluster_secret("123456789012345")
    with pytest.raises(ValueError, match="too few"):
        values.cluster_secret("x" * 40)


def test_domains() -> None:
    assert values.domains("S3.lan, s3.example.com") == "s3.lan,s3.example.com"
    with pytest.raises(ValueError, match="not a host name"):
        values.domains("s3.lan,*.example.com")


def test_control_characters_are_refused() -> None:
    with pytest.raises(ValueError, match="control"):
        values.path("/a\tb")
