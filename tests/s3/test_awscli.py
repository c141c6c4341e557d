"""aws-cli as people use it: mb, cp, ls, sync, presign, rm, rb."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.s3.conftest import Endpoint, new_name

Aws = Callable[..., str]


def find_aws() -> str:
    beside = Path(sys.executable).parent / "aws"
    found = str(beside) if beside.exists() else shutil.which("aws")
    assert found, "aws-cli is missing: pip install awscli"
    return found


@pytest.fixture
def aws(endpoint: Endpoint, tmp_path: Path) -> Aws:
    config = tmp_path / "aws-config"
    config.write_text("[default]\ns3 =\n  signature_version = s3v4\n")  # aws-cli 1 presigns with version 2 otherwise
    env = {
        "AWS_CONFIG_FILE": str(config),
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": endpoint.access_key,
        "AWS_SECRET_ACCESS_KEY": endpoint.secret_key,
        "AWS_DEFAULT_REGION": endpoint.region,
        "AWS_ENDPOINT_URL": endpoint.url,
        "AWS_MAX_ATTEMPTS": "1",
    }

    def run(*arguments: str, stdin: bytes = b"", status: int = 0) -> str:
        done = subprocess.run(
            [find_aws(), *arguments], env=env, input=stdin, capture_output=True, timeout=120, check=False, cwd=tmp_path
        )
        assert done.returncode == status, done.stderr.decode() + done.stdout.decode()
        return done.stdout.decode()

    return run


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_a_directory_there_and_back(aws: Aws, tmp_path: Path) -> None:
    bucket = new_name("cli")
    source = tmp_path / "source"
    for name, size in {"a.txt": 5, "empty": 0, "sub/ü ö.bin": 70_000, "sub/deep/er/x": 1, "big": 20 << 20}.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
    aws("s3", "mb", f"s3://{bucket}")
    aws("s3", "sync", str(source), f"s3://{bucket}/backup")
    listing = aws("s3", "ls", f"s3://{bucket}/backup/", "--recursive")
    assert len(listing.splitlines()) == 5
    assert "PRE sub/" in aws("s3", "ls", f"s3://{bucket}/backup/")
    aws("s3", "sync", f"s3://{bucket}/backup", str(tmp_path / "back"))
    assert tree(tmp_path / "back") == tree(source)
    assert aws("s3", "sync", str(source), f"s3://{bucket}/backup") == ""  # nothing changed, nothing is sent
    (source / "a.txt").unlink()
    assert "delete" in aws("s3", "sync", "--delete", str(source), f"s3://{bucket}/backup")
    aws("s3", "rb", f"s3://{bucket}", status=1)
    aws("s3", "rb", "--force", f"s3://{bucket}")
    assert bucket not in aws("s3", "ls")


def test_streams_and_single_files(aws: Aws, tmp_path: Path) -> None:
    bucket = new_name("cli")
    aws("s3", "mb", f"s3://{bucket}")
    aws("s3", "cp", "-", f"s3://{bucket}/from-stdin", stdin=b"streamed")
    assert aws("s3", "cp", f"s3://{bucket}/from-stdin", "-") == "streamed"
    aws("s3", "cp", f"s3://{bucket}/from-stdin", f"s3://{bucket}/copy")
    aws("s3", "mv", f"s3://{bucket}/copy", f"s3://{bucket}/moved")
    assert aws("s3", "cp", f"s3://{bucket}/moved", "-") == "streamed"
    aws("s3", "rm", "--recursive", f"s3://{bucket}")
    assert aws("s3", "ls", f"s3://{bucket}") == ""


def test_presign(aws: Aws) -> None:
    bucket = new_name("cli")
    aws("s3", "mb", f"s3://{bucket}")
    aws("s3", "cp", "-", f"s3://{bucket}/k", stdin=b"shared")
    url = aws("s3", "presign", f"s3://{bucket}/k", "--expires-in", "60").strip()
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"shared"


def test_every_checksum_algorithm(aws: Aws, tmp_path: Path) -> None:
    bucket = new_name("cli")
    file = tmp_path / "file"
    file.write_bytes(os.urandom(9 << 20))  # above the threshold: sent in parts
    aws("s3", "mb", f"s3://{bucket}")
    for algorithm in ("CRC32", "SHA256", "CRC64NVME"):
        aws("s3", "cp", str(file), f"s3://{bucket}/{algorithm}", "--checksum-algorithm", algorithm)
        aws("s3", "cp", f"s3://{bucket}/{algorithm}", str(tmp_path / "back"), "--checksum-mode", "ENABLED")
        assert (tmp_path / "back").read_bytes() == file.read_bytes()
