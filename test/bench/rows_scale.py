"""Rows about much data: registrations, queries among them, snapshots under writes, memory."""
import array
import os
import subprocess
import time

from report import median
from suite import BUILD, NET, RUNS, SHORT, Failed, Suite, children
from rows_dns import register
from tools import Shares, client, load


def registrations(bench):
    services, instances = bench.size("SERVICES", 10000, 30), 10
    with Shares(bench.suite, "load") as shares:
        figures = register(bench.suite, "svc-%g", instances, services * instances)
    bench.have("services")
    bench.report.row(f"register {services:,} services of {instances}", ">= 20,000/s", f"{figures['rate']:,.0f}/s",
                     cpu=shares.text)


def query_among_many(bench):
    """One service's health among all, and in a catalog that has only it."""
    services, instances, count = bench.size("SERVICES", 10000, 30), 10, 50 if SHORT else 3000
    chosen = services // 2
    bench.need("services", lambda suite: register(suite, "svc-%g", instances, services * instances))
    empty = Suite(bench.path("empty"), f"{NET}.4", "-dev", "-log-level=info")
    bench.own(empty)
    empty.start().ready()
    register(empty, "svc-%g", instances, instances, chosen * instances)
    path = f"/v1/health/service/svc-{chosen}?n=%u"  # no two the same: an answer given twice would not look at the catalog
    pairs = []
    for _ in range(RUNS):
        pairs.append(tuple(load(suite.address, "GET", path, "-c", 1, "-n", count)["median_us"] / 1000 for suite in (empty, bench.suite)))
    empty.stop()
    bench.report.pairs(f"health query of one of {services:,} services, latency", "<= 1.2", pairs, "empty catalog {:.3f} ms", "{:.3f} ms")


def million(bench):
    """The keys of the rows below: how many, loaded once."""
    keys = bench.size("KEYS", 1000000, 2000)

    def fill(suite):
        with Shares(suite, "load") as shares:
            figures = load(suite.address, "PUT", "/v1/kv/many/%u", "-c", 64, "-p", 16, "-n", keys, "-b", "x" * 28)
        bench.report.row(f"PUT {keys:,} keys, 16 under way on 64 connections", "", f"{figures['rate']:,.0f}/s",
                         cpu=shares.text)

    bench.need("keys", fill)
    return keys


def snapshot_running(suite, catalogd):
    """catalogd's helper reads, or raftd's copies what it says."""
    try:
        names = os.listdir(os.path.join(suite.directory, "data/raft/snapshots"))
    except FileNotFoundError:
        names = []
    return any(name.endswith(".tmp") for name in names) or children(catalogd) != []


def put_during_snapshots(bench):
    """Latencies of one load of PUTs, those answered while a snapshot was made apart from the others."""
    suite, seconds = bench.suite, bench.size("SNAPSHOT_SECONDS", 30, 3)
    keys = million(bench)
    catalogd = suite.pid_of("catalogd")
    suite.wait(lambda: not snapshot_running(suite, catalogd), "the end of a snapshot")
    suite.configure({"raft_snapshot_threshold": 1, "raft_snapshot_interval": "1s"})
    suite.reload()
    samples = bench.path("samples")
    spans = []
    with Shares(suite, "load") as shares:
        loader = subprocess.Popen([os.path.join(BUILD, "bench/load"), "-c", "64", "-t", str(seconds), "-m", "1000", "-b", "x" * 28, "-o", samples,
                                   suite.address, "8500", "PUT", "/v1/kv/bench/put/%u"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while loader.poll() is None:
            running, now = snapshot_running(suite, catalogd), time.monotonic_ns()
            if running and (not spans or spans[-1][1] is not None):
                spans.append([now, None])
            elif not running and spans and spans[-1][1] is None:
                spans[-1][1] = now
            time.sleep(0.005)
    out, error = loader.communicate()
    suite.configure({})
    suite.reload()
    if loader.returncode != 0:
        raise Failed(f"load: {error.strip()[-300:]}")
    if not spans:
        raise Failed("no snapshot was taken meanwhile")
    inside, outside = split(samples, spans)
    os.unlink(samples)
    if not inside or not outside:
        raise Failed(f"{len(inside)} answers while a snapshot was taken, {len(outside)} without")
    ended = [(end - start) / 1e9 for start, end in spans if end is not None]
    bench.report.pairs(f"PUT p99 while a snapshot of {keys:,} keys is taken", "<= 3", [(p99(outside), p99(inside))],
                       "without {:.1f} ms", "{:.1f} ms" + f", {len(spans)} snapshots of {median(ended) or float('nan'):.1f} s", shares.text)


def split(path, spans):
    """Latencies in ms of what was answered in one of the spans, and of the rest."""
    numbers = array.array("Q")
    with open(path, "rb") as f:
        numbers.frombytes(f.read())
    inside, outside = [], []
    at = 0
    for i in range(0, len(numbers), 2):
        answered = numbers[i]
        while at < len(spans) and spans[at][1] is not None and answered > spans[at][1]:
            at += 1
        (inside if at < len(spans) and answered >= spans[at][0] else outside).append(numbers[i + 1] / 1e6)
    return inside, outside


def p99(latencies):
    return sorted(latencies)[int(len(latencies) * 0.99)]


def memory_after(bench):
    suite = bench.suite
    suite.settled_pss_kib()
    memory = suite.memory()
    store, rest = (sum(one[i] for one in memory.values()) * 1024 / 1e6 for i in (0, 1))
    largest = sorted(memory, key=lambda name: -memory[name][1])[:2]
    bench.report.row("PSS after all this, without the pages of data.mdb", "<= 20 MB",
                     f"{rest:.1f} MB (" + ", ".join(f"{name} {memory[name][1] * 1024 / 1e6:.1f}" for name in largest) + f"), data.mdb {store:.1f} MB")
