"""ListBuckets: everything one owns, in order, by prefix, page by page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.s3.conftest import new_name
from tests.s3.expect import fails


def names(answer: dict[str, Any]) -> list[str]:
    return [bucket["Name"] for bucket in answer["Buckets"]]


def test_lists_own_buckets_with_their_creation_date_and_owner(s3: Any, bucket: str) -> None:
    answer = s3.list_buckets()
    entry = next(b for b in answer["Buckets"] if b["Name"] == bucket)
    assert entry["CreationDate"].tzinfo is not None
    assert len(answer["Owner"]["ID"]) >= 32


def test_the_owner_is_the_same_in_buckets_and_listings(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    service = s3.list_buckets()["Owner"]["ID"]
    assert s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]["Owner"]["ID"] == service
    assert s3.list_objects(Bucket=bucket)["Contents"][0]["Owner"]["ID"] == service
    assert s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"] == service


def test_buckets_come_in_byte_order(s3: Any, buckets: Callable[[], str]) -> None:
    made = [buckets() for _ in range(12)]
    listed = names(s3.list_buckets())
    assert listed == sorted(listed)
    assert set(made) <= set(listed)


def test_prefix_and_pages(s3: Any) -> None:
    prefix = new_name("page")
    made = [f"{prefix}-{i}" for i in range(5)]
    for name in made:
        s3.create_bucket(Bucket=name)
    found: list[str] = []
    token = None
    while True:
        arguments = {"Prefix": prefix, "MaxBuckets": 2, **({"ContinuationToken": token} if token else {})}
        page = s3.list_buckets(**arguments)
        assert len(page["Buckets"]) <= 2
        assert page["Prefix"] == prefix
        found += names(page)
        token = page.get("ContinuationToken")
        if not token:
            break
    assert found == made


def test_a_page_that_ends_exactly_at_the_end_has_no_continuation(s3: Any) -> None:
    prefix = new_name("exact")
    for i in range(2):
        s3.create_bucket(Bucket=f"{prefix}-{i}")
    page = s3.list_buckets(Prefix=prefix, MaxBuckets=2)
    assert len(page["Buckets"]) == 2
    assert not page.get("ContinuationToken")


def test_max_buckets_outside_its_range_is_refused(s3: Any, raw: Any) -> None:
    for value in ("0", "10001", "x", "-1"):
        answer = raw.request("GET", query={"max-buckets": value})
        assert (answer.status, answer.code) == (400, "InvalidArgument"), value


def test_a_token_that_was_not_given_out_is_refused(s3: Any) -> None:
    with fails("InvalidArgument", 400):
        s3.list_buckets(MaxBuckets=2, ContinuationToken="not a token")
