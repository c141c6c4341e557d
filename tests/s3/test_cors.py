"""CORS as a browser meets it: a preflight without a signature, and headers on answers and errors."""

from __future__ import annotations

from typing import Any

from tests.harness.raw import RawClient


def test_a_browser(s3: Any, raw: RawClient, bucket: str) -> None:
    rule = {
        "AllowedOrigins": ["https://*.example.com"],
        "AllowedMethods": ["GET", "PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 60,
    }
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == [rule]
    origin = {"Origin": "https://app.example.com"}
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization,x-amz-date"}
    answer = raw.request("OPTIONS", bucket, "a", headers={**origin, **asked}, sign=False)
    assert answer.status == 200, str(answer)
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    assert answer.headers["access-control-allow-headers"] == "authorization, x-amz-date"
    refused = raw.request("OPTIONS", bucket, "a", headers={"Origin": "https://evil.com", **asked}, sign=False)
    assert (refused.status, refused.code) == (403, "AccessForbidden")
    missing = raw.request("GET", bucket, "missing", headers=origin)
    assert (missing.status, missing.headers["access-control-allow-origin"]) == (404, "https://app.example.com")
    s3.delete_bucket_cors(Bucket=bucket)
    assert "access-control-allow-origin" not in raw.request("GET", bucket, "missing", headers=origin).headers
