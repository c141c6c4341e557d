"""Small logs on disk for the tests of this package."""

from pathlib import Path

from ironbucket.wal.record import NO_CHAIN, PUT, Record, encode, epoch_chain
from ironbucket.wal.segment import Header
from ironbucket.wal.stream import ActiveSegment

EPOCH = "19c2a7d0e11f0001"
NODE = "node-1"


def record(sequence: int, key: str = "key", node: str = NODE) -> Record:
    attributes = {"version": f"01JD3V2Q9Z8K7M5N4P3R2S{sequence:04d}"}
    return Record(PUT, node, sequence, 1_759_184_567_000 + sequence, "photos", key, 3, "0" * 32, attributes, EPOCH)


class Log:
    """An active segment that tests append to."""

    def __init__(self, path: Path, node: str = NODE, epoch: str = EPOCH) -> None:
        self.path, self.node, self.epoch = path, node, epoch
        self.sequence, self.chain = 0, epoch_chain(epoch, NO_CHAIN)
        self.active = ActiveSegment.create(str(path), Header(node, epoch, 1, self.chain))
        #: end of each line, the header's first
        self.ends = [self.active.start]

    def append(self, count: int = 1, key: str = "key") -> None:
        for _ in range(count):
            self.sequence += 1
            line, self.chain = encode(record(self.sequence, key, self.node), self.chain)
            self.active.append(line, self.active.size())
            self.ends.append(self.active.size())
        self.active.sync()

    def rotate(self) -> None:
        self.active = self.active.rotate(self.sequence + 1, self.chain)

    def bytes(self) -> bytes:
        return self.path.read_bytes()
