"""A second reader, which knows docs/wal-format.md and nothing of ironbucket, reads what a real node wrote."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ironbucket.node import Node
from ironbucket.node.body import Attributes, Expected
from ironbucket.node.identity import begin_epoch
from ironbucket.node.objects import bytes_body
from ironbucket.wal.reader import read_stream
from tests.unit.node.support import make_settings, opened
from tests.unit.node.test_multipart import begin, complete

KEYS = ("a", "tab\tlf\ncr\rnul\0back\\slash\\t", "ключ/鍵/🔑", '"quotes"', "#", " ", "\ud800 lone", "k" * 1024, "a\\")

PLAIN = {r"\t": "\t", r"\n": "\n", r"\r": "\r", r"\0": "\0", r"\\": "\\"}


def read(path: Path) -> Iterator[tuple[list[str], dict[str, Any]]]:
    lines = path.read_bytes().split(b"\n")[:-1]
    header = dict(field.split("=", 1) for field in lines[0].decode()[2:].split("\t"))
    chain, sequence = header["chain"], int(header["first"])
    for line in lines[1:]:
        covered, found = line[:-32], line[-32:].decode()
        assert hashlib.sha256(chain.encode() + covered).hexdigest()[:32] == found
        fields = covered[:-1].decode("utf-8", "surrogatepass").split("\t")
        fields = [re.sub(r"\\.", lambda escape: PLAIN[escape[0]], field) for field in fields]
        assert (fields[1], int(fields[2])) == (header["node"], sequence)
        chain, sequence = found, sequence + 1
        yield fields[:-1], json.loads(fields[-1])


def write_everything(node: Node) -> None:
    """Every operation with every attribute."""
    node.buckets.create("photos", "owner", {"acl": {"grant": "none"}})
    for key in KEYS:
        attributes = Attributes("text/plain", {"expires": "never"}, {"k": 'ü\t"\\'}, "GLACIER", {"t": "\n"}, "owner")
        expected = Expected(checksums={"crc32": "AAAAAA=="})
        node.objects.put("photos", key, bytes_body(b""), expected, attributes)
    node.objects.update("photos", "a", None, "tags", {"x": "\\"})
    node.objects.update("photos", "a", None, "tags", None)
    node.objects.delete("photos", "a")
    complete(node, *begin(node, b"data"))
    node.buckets.configure("photos", "versioning", "Enabled")
    version = node.objects.put("photos", "v", bytes_body(b"1"), Expected(), Attributes())
    node.objects.delete("photos", "v")
    node.objects.delete("photos", "v", version.version_id)
    node.buckets.configure("photos", "versioning", "Suspended")
    node.objects.delete("photos", "v")
    node.buckets.configure("photos", "policy", None)
    node.buckets.create("gone", "owner")
    node.buckets.delete("gone")


def test_it_reads_what_a_node_writes(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, wal_segment_size=1500)
    with opened(settings) as node:
        write_everything(node)
        epoch = node.identity.epoch
        segments = [*sorted(Path(settings.wal_path).parent.glob("wal-*.log")), Path(settings.wal_path)]
        assert len(segments) > 2
        found = [one for segment in segments for one in read(segment)]
        ours = [line.record for line in read_stream(settings.wal_path, epoch, 0)]
    assert len(found) == len(ours) > 20
    for (fields, attributes), record in zip(found, ours, strict=True):
        known = [record.operation, record.node, str(record.sequence), str(record.ms), record.bucket]
        known += [record.key] if record.key is not None else []
        known += [str(record.size), record.etag or ""] if record.size is not None else []
        assert (fields, attributes) == (known, record.attributes)
    assert [fields[5] for fields, _ in found if fields[0] == "PUT"][: len(KEYS)] == list(KEYS)


def test_every_name_is_in_the_page(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with opened(settings) as node:
        write_everything(node)
    page = (Path(__file__).parents[3] / "docs" / "wal-format.md").read_text(encoding="utf-8")
    for fields, attributes in read(Path(settings.wal_path)):
        assert re.search(rf"^### .*\b{fields[0]}\b", page, re.MULTILINE)
        section = page[page.index(fields[0], page.index("## Operations")) :]
        for name in attributes:
            assert f"| `{name}` |" in section or name == "logical", (fields[0], name)


def test_the_chain_goes_on_in_the_next_epoch(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with opened(settings) as node:
        node.buckets.create("photos", "owner")
        old = node.identity.epoch
    begin_epoch(settings.wal_path)
    header = Path(settings.wal_path).read_bytes().split(b"\n")[0].decode()
    fields = dict(field.split("=", 1) for field in header[2:].split("\t"))
    chain = (Path(settings.wal_path).parent / "peers" / "node-1" / f"{old}.log").read_bytes()[-33:-1]
    assert hashlib.sha256(chain + fields["epoch"].encode()).hexdigest()[:32] == fields["chain"]
    assert fields["parent"] == f"{old}/1"
