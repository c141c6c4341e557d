"""Measure an S3 endpoint and the machine it runs on, and print the ratios. `--help` for the choices; see README.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import baselines, large, listing, load, small
from tests.bench.report import Report
from tests.bench.target import CLIENT_CPU, SERVER_CPU, Target, nginx, own_server
from tests.harness import storage

MIB = 1 << 20
SIZE = 64 * MIB
SECTIONS = ("small", "scaling", "large", "puts", "mixed", "listing", "memory")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", help="URL of a running S3 server; without it our own is started here")
    parser.add_argument("--access-key", default="", help="for --endpoint")
    parser.add_argument("--secret-key", default="", help="for --endpoint")
    parser.add_argument("--region", default="us-east-1", help="for --endpoint")
    parser.add_argument("--pid", type=int, action="append", default=[], help="process of --endpoint whose CPU counts")
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"sections, of {','.join(SECTIONS)}")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement (default 3)")
    parser.add_argument(
        "--directory", type=Path, help="where data is written: the disk counts (default: a temporary one)"
    )
    parser.add_argument("--listing-keys", default="10000,1000000", help="sizes of the two buckets that are listed")
    parser.add_argument("--python-client", action="store_true", help="never use wrk")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args()


def section_small(report: Report, root: Path, external: Target | None, options: argparse.Namespace) -> None:
    report.head("Small requests: 1 KiB, signed, kept connections, server on one core, client on the other")
    found = small.reads(root, external, options.seconds, prefer_wrk=not options.python_client)
    for name, measured in found.items():
        report.line(name, measured)
    for verb in ("get", "head"):
        if f"nginx {verb} 16" not in found:
            report.skip(f"signed 1 KiB {verb.upper()} / nginx static", "nginx is not installed")
            continue
        ours = max(found[f"{verb} {n}"].result.rate for n in small.CONNECTIONS)
        theirs = max(found[f"nginx {verb} {n}"].result.rate for n in small.CONNECTIONS)
        report.ratio(f"signed 1 KiB {verb.upper()} / nginx static, one core", ours / theirs, at_least=0.4)
        cpu = min(found[f"nginx {verb} {n}"].cpu for n in (16, 64)) / max(
            1e-9, min(found[f"{verb} {n}"].cpu for n in (16, 64))
        )
        if found[f"{verb} 16"].cpu:
            report.note(f"by CPU per request instead of rate: {cpu:.2f}")


def section_scaling(report: Report, root: Path, external: Target | None, options: argparse.Namespace) -> None:
    report.head("Two workers on two cores against one on one; the client's CPU is taken off")
    if external:
        report.skip("two workers / one", "needs our own server")
        return
    one, two, first, second = small.scaling(root, options.seconds, prefer_wrk=not options.python_client)
    report.line("one worker", first)
    report.line("two workers", second)
    report.note(f"without the client: {one:.0f}/s and {two:.0f}/s")
    report.ratio("two workers / one", two / one, at_least=1.6)


def section_large(report: Report, root: Path, external: Target | None, options: argparse.Namespace) -> None:
    report.head("Large bodies: 64 MiB")
    if external:
        large_reads(report, root, external, options.seconds)
        large_writes(report, root, external, options.seconds, CLIENT_CPU)
        large_streams(report, root, external, options.seconds)
        return
    with own_server(root / "large-1", 1, SERVER_CPU) as target:
        large_reads(report, root, target, options.seconds)
    # hashing beside reading needs a second core: the client's, which only copies, shares it
    with own_server(root / "large-2", 1, f"{SERVER_CPU},{CLIENT_CPU}") as target:
        large_writes(report, root, target, options.seconds, "")
    with own_server(root / "large-3", 2) as target:
        large_streams(report, root, target, options.seconds)


def large_reads(report: Report, root: Path, target: Target, seconds: float) -> None:
    data = os.urandom(SIZE)
    target.make_bucket(small.BUCKET)
    assert target.client().request("PUT", small.BUCKET, "large", body=data).status == 200
    ranges = {
        "whole": "",
        "range of 32 MiB": f"bytes={16 * MIB + 1}-{48 * MIB}",
        "range of 1 MiB": f"bytes={MIB + 1}-{2 * MIB}",
    }
    with nginx(root, {"large": data}) as static:
        for name, asked in ranges.items():
            headers = {"Range": asked} if asked else {}
            length = SIZE if not asked else int(asked.split("-")[1]) - int(asked[6:].split("-")[0]) + 1
            ours: tuple[float, float] = (0, 0)
            theirs: tuple[float, float] = (0, 0)
            for _ in range(small.TURNS):
                request = target.request("GET", small.BUCKET, "large", headers=headers)
                ours = max(ours, _download(target, request, length, seconds))
                if static:
                    lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
                    plain = f"GET /large HTTP/1.1\r\nHost: {static.netloc}\r\n{lines}\r\n".encode()
                    theirs = max(theirs, _download(static, plain, length, seconds))
            report.text(f"GET {name}", f"{ours[0]:8.0f} MB/s   {ours[1]:.3f} CPU s/GB")
            if static:
                report.text(f"nginx GET {name}", f"{theirs[0]:8.0f} MB/s   {theirs[1]:.3f} CPU s/GB")
                report.ratio(f"GET 64 MiB, {name} / nginx sendfile", ours[0] / theirs[0], at_least=0.95)
                if ours[1]:
                    report.ratio(f"CPU per GB, {name} / nginx sendfile", ours[1] / theirs[1], at_most=1.05)


def _download(target: Target, request: bytes, length: int, seconds: float) -> tuple[float, float]:
    """MB/s, and CPU seconds of the server per GB."""
    before = target.cpu()
    flow = large.download(target.host, target.port, request, length, seconds, CLIENT_CPU)
    # the warm-up request is in the CPU, and not in the flow
    return flow.rate, (target.cpu() - before) / (flow.megabytes + length / 1e6) * 1000


def body_file() -> Path:
    """64 MiB in memory, so that reading them costs the client nothing."""
    memory = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
    path = memory / f"ironbucket-bench-{os.getpid()}"
    path.write_bytes(os.urandom(SIZE))
    return path


def large_writes(report: Report, root: Path, target: Target, seconds: float, cpus: str) -> None:
    target.make_bucket(small.BUCKET)
    path = body_file()
    try:
        digest = large.sha256_of(path)
        md5, disk = baselines.md5_rate(), baselines.disk_rate(root)
        rates: dict[str, float] = {}
        for _ in range(small.TURNS):
            for name, declared in (("unsigned", ""), ("signed", digest)):
                request = target.request("PUT", small.BUCKET, f"up-{name}", digest=declared, length=SIZE)
                flow = large.upload(target.host, target.port, [request], path, seconds, cpus)[0]
                rates[name] = max(rates.get(name, 0), flow.rate)
            md5 = max(md5, baselines.md5_rate())
        report.text("MD5 of one core", f"{md5:8.0f} MB/s")
        report.text("write and sync 64 MiB", f"{disk:8.0f} MB/s   (the disk; a durable PUT is not faster)")
        for name, floor in (("unsigned", 0.85), ("signed", 0.6)):
            report.text(f"PUT {name} payload", f"{rates[name]:8.0f} MB/s")
            report.ratio(f"PUT 64 MiB, {name} payload / MD5", rates[name] / md5, at_least=floor)
    finally:
        path.unlink()


def large_streams(report: Report, root: Path, target: Target, seconds: float) -> None:
    target.make_bucket(small.BUCKET)
    path = body_file()
    try:
        rates = {1: 0.0, 4: 0.0}
        for _ in range(small.TURNS):
            for streams in rates:
                heads = [target.request("PUT", small.BUCKET, f"s{i}", length=SIZE) for i in range(streams)]
                flows = large.upload(target.host, target.port, heads, path, seconds)
                rates[streams] = max(rates[streams], sum(flow.rate for flow in flows))
        report.text("PUT, 1 and 4 streams", f"{rates[1]:8.0f} and {rates[4]:.0f} MB/s")
        report.ratio("four PUT streams on two cores / one", rates[4] / rates[1], at_least=1.5)
    finally:
        path.unlink()


def section_puts(report: Report, root: Path, external: Target | None, options: argparse.Namespace) -> None:
    report.head("Durable 1 KiB PUT, 16 connections")
    possible = baselines.durable_rate(root, options.seconds)

    def measure(target: Target) -> None:
        nonlocal possible
        found = small.puts(target, options.seconds)
        possible = max(possible, baselines.durable_rate(root, options.seconds))
        report.line("put 16", found)
        report.text("create + fsync + rename + log", f"{possible:9.0f}/s   (plain Python, 16 writers, shared log sync)")
        report.ratio("durable 1 KiB PUT / plain Python", found.result.rate / possible, at_least=0.6)

    if external:
        measure(external)
        return
    with own_server(root / "puts", 2) as target:
        measure(target)


def section_mixed(report: Report, root: Path, external: Target | None, options: argparse.Namespace) -> None:
    report.head("GETs at 500 a second, alone and while 8 connections put")

    def measure(target: Target) -> None:
        alone, during, written = small.reads_during_writes(target, options.seconds)
        for name, result in (("alone", alone), ("during puts", during)):
            report.text(name, f"p50 {result.p50:7.0f} µs  p99 {result.p99:7.0f} µs  longest {result.longest:.0f} µs")
        report.text("puts meanwhile", f"{written.rate:9.0f}/s")
        report.ratio("p99 of GETs during PUTs / alone", during.p99 / alone.p99, at_most=5)

    if external:
        measure(external)
        return
    with own_server(root / "mixed", 2) as target:
        measure(target)


def section_listing(report: Report, root: Path, external: Target | None, options: argparse.Namespace) -> None:
    sizes = [int(word) for word in options.listing_keys.split(",")]
    report.head(f"A listing page of 1,000 entries, {' and '.join(f'{size:,}' for size in sizes)} keys")

    def measure(target: Target) -> None:
        pages = {}
        for size in sizes:
            taken = listing.fill(target, size)
            pages[size] = page = listing.measure(target, size)
            store = "" if page.store_flat is None else f"   store {page.store_flat:.2f} / {page.store_delimiter:.2f} ms"
            report.text(
                f"{size:,} keys",
                f"first {page.flat:.2f} ms  middle {page.middle:.2f} ms  delimiter {page.delimiter:.2f} ms{store}   "
                f"(filled in {taken:.0f} s, {size / taken:.0f}/s)",
            )
        few, many = pages[sizes[0]], pages[sizes[-1]]
        for name in ("flat", "middle", "delimiter"):
            ratio = getattr(many, name) / getattr(few, name)
            report.ratio(f"page ({name}) in the large bucket / in the small one", ratio, at_most=1.3)
        if many.store_flat is not None and many.store_delimiter is not None:
            report.value("page in the store, ms", many.store_flat, at_most=10)
            report.value("page with delimiter in the store, ms", many.store_delimiter, at_most=10)

    if external:
        measure(external)
        return
    with own_server(root / "listing", 2) as target:
        measure(target)
        assert target.node
        target.node.stop()
        started = time.monotonic()
        target.node.start()
        report.value(f"ready again with {sum(sizes):,} lines of log, s", time.monotonic() - started, at_most=1)
        target.node.kill()
        started = time.monotonic()
        target.node.start()
        report.value("ready again after SIGKILL, s", time.monotonic() - started, at_most=1)


def section_memory(report: Report, root: Path, external: Target | None, options: argparse.Namespace) -> None:
    report.head("Memory of a worker")
    if external:
        report.skip("resident memory", "needs our own server")
        return
    with own_server(root / "memory", 2) as target:
        assert target.node
        keys = small.fill(target)
        requests = [target.request("GET", small.BUCKET, key) for key in keys]
        load.drive(load.Plan(target.host, target.port, requests, 64, 1.0))
        path = body_file()
        try:
            heads = [target.request("PUT", small.BUCKET, f"m{i}", length=SIZE) for i in range(8)]
            large.upload(target.host, target.port, heads, path, 1.0)
        finally:
            path.unlink()
        highest = max(storage.memory(pid)[1] for pid in target.node.workers() or [target.node.pid])
        report.value("highest resident MiB of a worker, 64 GETs and 8 uploads of 64 MiB", highest / MIB, at_most=80)


def main() -> int:
    options = arguments()
    report = Report()
    external = None
    if options.endpoint:
        keys = {"access_key": options.access_key, "secret_key": options.secret_key, "region": options.region}
        external = Target(options.endpoint, pids=options.pid, **keys)
    print(f"Python {platform.python_version()} ({sys.executable}), {os.cpu_count()} cores, {platform.release()}")
    print(
        f"client: {'wrk' if load.has_wrk() and not options.python_client else 'client.py'}; best of {small.TURNS} turns"
    )
    with tempfile.TemporaryDirectory(prefix="ironbucket-bench-", dir=options.directory) as name:
        root = Path(name)
        for section in SECTIONS:
            if section in options.only.split(","):
                globals()[f"section_{section}"](report, root, external, options)
    report.summary()
    if options.json:
        options.json.write_text(json.dumps(report.data, indent=1) + "\n")
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
