"""Clients that write concurrently and keep a ledger, and the check that a node agrees with the ledger."""

from __future__ import annotations

import hashlib
import http.client
import random
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from urllib.parse import unquote

from tests.harness.disks import Disk
from tests.harness.ledger import ABSENT, Ledger, digest, payload
from tests.harness.process import NodeProcess
from tests.harness.raw import Answer, RawClient
from tests.harness.signing import path_of, query_of

SIZES = (0, 1, 100, 1024, 4096, 65536, 200_000, 1_100_000)
_BROKEN = (OSError, http.client.HTTPException)


class Session:
    """One keep-alive connection that signs; opened again when it broke. Raises what the socket raises."""

    def __init__(self, client: RawClient, timeout: float = 30) -> None:
        self.client, self.timeout = client, timeout
        self._connection: http.client.HTTPConnection | None = None

    def request(
        self,
        method: str,
        bucket: str,
        key: str = "",
        body: bytes = b"",
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self.client.hostname, self.client.port, timeout=self.timeout)
        path, raw = path_of(bucket, key), query_of(query or {})
        sha256 = hashlib.sha256(body).hexdigest()
        signed = self.client.signer.header(method, self.client.host, path, raw, headers or {}, sha256)
        try:
            self._connection.request(method, f"{path}?{raw}" if raw else path, body or None, signed)
            response = self._connection.getresponse()
            answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except _BROKEN:
            self.close()
            raise
        if response.will_close:
            self.close()
        return answer

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Writer(threading.Thread):
    """Puts, overwrites, copies, uploads in parts and deletes its own keys until told to stop."""

    def __init__(
        self, number: int, client: RawClient, bucket: str, ledger: Ledger, sizes: Iterable[int] = SIZES
    ) -> None:
        super().__init__(name=f"writer-{number}", daemon=True)
        self.number, self.bucket, self.ledger = number, bucket, ledger
        self.session = Session(client)
        self.random = random.Random(number)
        self.sizes = tuple(sizes)
        self.keys = [f"w{number}/{name}" for name in ("a", "a/b", "ö", "c c", "d")]
        self.stopping = threading.Event()
        self.failure: BaseException | None = None
        self._seed = number * 1_000_000

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self._step()
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits for this one
            self.failure = error
        finally:
            self.session.close()

    def _step(self) -> None:
        key = self.random.choice(self.keys)
        action = self.random.choices((self._put, self._remove, self._multipart, self._fresh), (6, 2, 1, 3))[0]
        self._seed += 1
        try:
            action(key)
        except _BROKEN:
            self.ledger.lost(key)
            time.sleep(0.01)

    def _data(self) -> bytes:
        return payload(self._seed, self.random.choice(self.sizes))

    def _record(self, key: str, state: str, answer: Answer) -> None:
        if answer.status in (200, 204):
            self.ledger.answered(key, state)
        else:
            self.ledger.denied(key, answer.code or str(answer.status))
            time.sleep(0.005)

    def _put(self, key: str) -> None:
        data = self._data()
        self.ledger.sent(key, digest(data))
        self._record(key, digest(data), self.session.request("PUT", self.bucket, key, data))

    def _fresh(self, key: str) -> None:
        self._put(f"{key}-{self._seed}")

    def _remove(self, key: str) -> None:
        self.ledger.sent(key, ABSENT)
        self._record(key, ABSENT, self.session.request("DELETE", self.bucket, key))

    def _multipart(self, key: str) -> None:
        data = self._data() or b"x"
        started = self.session.request("POST", self.bucket, key, query={"uploads": ""})
        if started.status != 200:
            self.ledger.denied(key, started.code)
            return
        upload = started.xml().findtext("UploadId", "")
        part = self.session.request("PUT", self.bucket, key, data, {"partNumber": "1", "uploadId": upload})
        if part.status != 200:
            self.ledger.denied(key, part.code)
            return
        etag = part.headers["etag"]
        document = (
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
            f"<ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
        )
        self.ledger.sent(key, digest(data))
        done = self.session.request("POST", self.bucket, key, document.encode(), {"uploadId": upload})
        if done.status == 200 and done.code:  # S3 may answer 200 and then say that it failed
            self.ledger.denied(key, done.code)
        else:
            self._record(key, digest(data), done)


class Load:
    """Several writers at once. `with Load(...) as load:` starts them; leaving stops them and raises their failures."""

    def __init__(
        self, client: RawClient, bucket: str, ledger: Ledger, writers: int = 8, sizes: Iterable[int] = SIZES
    ) -> None:
        self.ledger = ledger
        self.writers = [Writer(i, client, bucket, ledger, sizes) for i in range(writers)]

    def __enter__(self) -> Load:
        for writer in self.writers:
            writer.start()
        return self

    def until_acknowledged(self, more: int, timeout: float = 60, alive: Callable[[], bool] = lambda: True) -> None:
        """Wait until this many more requests were acknowledged (or `alive` turned false)."""
        goal = self.ledger.acknowledged + more
        deadline = time.monotonic() + timeout
        while self.ledger.acknowledged < goal and alive():
            assert time.monotonic() < deadline, f"only {self.ledger.acknowledged} of {goal}: {self.ledger.refused}"
            self._raise()
            time.sleep(0.005)

    def cut_power(self, disk: Disk, node: NodeProcess) -> None:
        """The moment of the cut: whatever is answered from here on does not count."""
        self.ledger.dark(is_dark=True)
        disk.cut_power()
        node.kill()
        self.stop()
        self.ledger.dark(is_dark=False)

    def stop(self) -> None:
        for writer in self.writers:
            writer.stopping.set()
        for writer in self.writers:
            writer.join(60)
            assert not writer.is_alive(), f"{writer.name} hangs"

    def _raise(self) -> None:
        for writer in self.writers:
            if writer.failure is not None:
                raise writer.failure

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is None:
            self._raise()


def check(client: RawClient, bucket: str, ledger: Ledger, *, settle: bool = True) -> None:
    """Read every key of the ledger and the listing; AssertionError naming each key that is not as permitted."""
    session = Session(client)
    wrong: list[str] = []
    present: set[str] = set()
    try:
        for key in ledger:
            answer = session.request("GET", bucket, key)
            if answer.status not in (200, 404):
                wrong.append(f"{key}: GET answers {answer.status} {answer.code}")
                continue
            found = digest(answer.body) if answer.status == 200 else ABSENT
            if found not in ledger.permitted(key):
                what = f"{len(answer.body)} bytes {found[:8]}" if found else "nothing"
                allowed = [state[:8] or "nothing" for state in sorted(ledger.permitted(key))]
                wrong.append(f"{key}: {what}, permitted: {allowed}, acknowledged {ledger.keys[key].acknowledged} times")
            if answer.status == 200:
                present.add(key)
                if int(answer.headers["content-length"]) != len(answer.body):
                    wrong.append(f"{key}: Content-Length is not the length")
            if settle:
                ledger.settle(key, found)
        listed = set(list_keys(session, bucket))
    finally:
        session.close()
    wrong += [f"{key}: readable but not listed" for key in sorted(present - listed)]
    wrong += [f"{key}: listed but not readable" for key in sorted(listed - present)]
    assert not wrong, f"{len(wrong)} keys are not what clients were told:\n" + "\n".join(wrong[:20])


def list_keys(session: Session, bucket: str) -> list[str]:
    """Every key of a bucket, page by page."""
    keys: list[str] = []
    token = ""
    while True:
        query = {"list-type": "2", "encoding-type": "url", **({"continuation-token": token} if token else {})}
        answer = session.request("GET", bucket, query=query)
        assert answer.status == 200, str(answer)
        page = answer.xml()
        keys += [unquote(element.findtext("Key", "").replace("+", " ")) for element in page.findall("Contents")]
        token = page.findtext("NextContinuationToken", "")
        if page.findtext("IsTruncated") != "true":
            return keys
