"""Rows about starting, being idle, and starting again with much data."""
import os
import shutil
import time

from report import median
from rows_scale import million
from suite import NET, RUNS, SHORT, Failed, Suite
from tools import load

RESTARTS = min(RUNS, 3)


def starts(bench):
    dev, again = [], []
    for i in range(RUNS):
        suite = Suite(bench.path(f"dev{i}"), f"{NET}.6", "-dev", "-log-level=info")
        bench.own(suite)
        dev.append(suite.start().ready())
        suite.stop()
    suite = Suite.server(bench.path("again"), f"{NET}.6")
    bench.own(suite)
    for i in range(RUNS + 1):
        seconds = suite.start().ready()
        if i > 0:
            again.append(seconds)
        else:
            load(suite.address, "PUT", "/v1/kv/again/%u", "-c", 1, "-n", 100, "-b", "x")
        suite.stop()
    bench.report.row("start to leader, all ports answering, -dev", "<= 100 ms", f"{median(dev) * 1000:.0f} ms")
    bench.report.row("the same, one-server data directory again", "<= 300 ms", f"{median(again) * 1000:.0f} ms")


def idle(bench):
    """Of a suite just started, before anything is asked."""
    suite, seconds = bench.suite, 1 if SHORT else 10
    memory = suite.settled_pss_kib() * 1024 / 1e6
    time.sleep(0 if SHORT else 3)
    before = suite.wakeups()
    time.sleep(seconds)
    wakeups = (suite.wakeups() - before) / seconds
    bench.report.row("idle server suite, all daemons (PSS)", "<= 12 MB", f"{memory:.1f} MB")
    bench.report.row("idle wake-ups of the whole suite (voluntary switches)", "<= 20/s", f"{wakeups:.1f}/s")


def answer_seconds(suite, key):
    """Seconds from the start to the first answer that has the value."""
    suite.start()

    def answered():
        if suite.get(f"/v1/kv/{key}?raw") != b"x" * 28:
            raise Failed(f"{key} has another value")
        return True

    suite.wait(answered, f"the value of {key}")
    seconds = time.monotonic() - suite.started
    suite.ready()
    return seconds


def restarts(bench):
    """Three ways: after an ordered end, after kill -9 of everything, and with the store gone."""
    keys = million(bench)
    suite, last = bench.suite, f"many/{keys - 1}"
    tail = bench.size("TAIL", 200000, 1000)  # entries behind the newest snapshot, or so
    clean, killed, rebuilt = [], [], []
    for _ in range(RESTARTS):
        suite.stop()
        clean.append(answer_seconds(suite, last))
        load(suite.address, "PUT", "/v1/kv/bench/put/%u", "-c", 64, "-p", 16, "-n", tail, "-m", 1000, "-b", "x" * 28)
        suite.kill()
        killed.append(answer_seconds(suite, last))
        suite.kill()
        shutil.rmtree(os.path.join(suite.directory, "data/catalog"))
        rebuilt.append(answer_seconds(suite, last))
    for work, goal, seconds in (("an ordered end", "<= 0.5 s", clean), ("kill -9", "<= 0.5 s", killed),
                                ("kill -9, no store", "<= 10 s", rebuilt)):
        bench.report.row(f"start with {keys:,} keys to an answer, after {work}", goal, f"{median(seconds):.2f} s")
