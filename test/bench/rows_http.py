"""Rows over HTTP: reads and writes beside nginx, one write beside one sync, parked and woken queries."""
import os
import subprocess
import time

from report import median
from suite import NET, RUNS, SECONDS, SHORT, Failed
from tools import HTTP_GENERATOR, Nginx, Shares, client, http_load, load, load_rate

VALUE = "x" * 28


def beside_nginx(bench, work, path, goal, generator):
    """generator: a function of tools, and its name"""
    suite, (ask, name) = bench.suite, generator
    nginx = Nginx(bench.path("nginx"), bench.nginx_address, len(suite.get(path.replace("%u", "0"))))
    pairs, shares = [], None
    try:
        for _ in range(RUNS):
            reference = ask(nginx.address, "/", nginx.PORT) if nginx.here else None
            with Shares(suite, name) as shares:
                pairs.append((reference, ask(suite.address, path)))
    finally:
        nginx.stop()
    bench.report.pairs(work, goal, pairs, "nginx {:,.0f}/s", "{:,.0f}/s", shares.text)


def get_rows(bench, what, path):
    """One request again and again; and requests of which no two are the same, so that no answer can be given twice."""
    beside_nginx(bench, f"{what}, 64 connections", path, ">= 0.9", (http_load, HTTP_GENERATOR))
    beside_nginx(bench, f"{what}, no two requests the same", path + "?n=%u", "", (load_rate, "load"))


def kv_get(bench):
    bench.suite.put("/v1/kv/bench/key", VALUE)
    get_rows(bench, "KV GET", "/v1/kv/bench/key")


def health_get(bench):
    bench.need_web()
    get_rows(bench, "health/service GET", "/v1/health/service/web")


def kv_put(bench):
    suite = bench.suite
    options = ("-c", 64, "-t", SECONDS)
    nginx = Nginx(bench.path("nginx"), bench.nginx_address, len("true"))
    pairs, p99, shares = [], [], None
    try:
        for _ in range(RUNS):
            # wrk would spend a core on making bodies: one generator for both
            reference = load(nginx.address, "GET", "/", *options, port=nginx.PORT)["rate"] if nginx.here else None
            with Shares(suite, "load") as shares:
                figures = load(suite.address, "PUT", "/v1/kv/bench/put/%u", *options, "-m", 1000, "-b", VALUE)
            pairs.append((reference, figures["rate"]))
            p99.append(figures["p99_us"] / 1000)
    finally:
        nginx.stop()
    bench.report.pairs("durable KV PUT, 64 connections, 1,000 keys of 28 B", ">= 0.4, p99 <= 10 ms", pairs, "nginx {:,.0f}/s",
                       "{:,.0f}/s, p99 " + f"{median(p99):.1f} ms", shares.text)


def one_put(bench):
    count = 20 if SHORT else 500
    pairs = []
    for _ in range(RUNS):
        reference = client("fdatasync", bench.path("fdatasync"), count)["median_us"] / 1000
        figures = load(bench.suite.address, "PUT", "/v1/kv/bench/one/%u", "-c", 1, "-n", count, "-m", 50, "-b", VALUE)
        pairs.append((reference, figures["median_us"] / 1000))
    os.unlink(bench.path("fdatasync"))
    bench.report.pairs("one connection, one PUT at a time, latency", "<= 2", pairs, "write and fdatasync {:.3f} ms", "{:.3f} ms")


class Watchers:
    """Processes of watchers.c that hold parked queries of /v1/kv/PREFIX/0 to keys-1."""

    def __init__(self, suite, prefix, keys, count, processes, network):
        self.processes, self.count = [], 0
        load(suite.address, "PUT", f"/v1/kv/{prefix}/%u", "-c", 1, "-n", keys, "-b", "first")
        try:
            for i in range(processes):
                share = count // processes + (1 if i < count % processes else 0)
                self.processes.append(subprocess.Popen(
                    [self.program(), "-k", str(keys), suite.address, "8500", str(share), f"/v1/kv/{prefix}", f"127.{network + i}.0.0"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
            for p in self.processes:
                if not p.stdout.readline().startswith("parked"):
                    raise Failed(f"watchers: {p.communicate()[1].strip()[-300:]}")
        except BaseException:
            self.stop()
            raise

    @staticmethod
    def program():
        from suite import BUILD
        return os.path.join(BUILD, "bench/watchers")

    def read(self, word):
        """Lets them read their answers; figures of each process."""
        for p in self.processes:
            p.stdin.write(word + "\n")
            p.stdin.flush()
        results = []
        for p in self.processes:
            out, error = p.communicate(timeout=600)
            if p.returncode != 0:
                self.stop()
                raise Failed(f"watchers: {error.strip()[-300:]}")
            words = out.split()
            results.append(dict(zip(words[::2], map(float, words[1::2]))))
        return results

    def stop(self):
        for p in self.processes:
            if p.poll() is None:
                p.kill()
                p.wait()


def expect_all(results, count):
    answers = sum(int(one["answers"]) for one in results)
    if answers != count:
        raise Failed(f"{answers} of {count} watchers were answered")


def watchers(bench):
    """Parked queries of one key: what they take, and how fast they are woken."""
    suite, count = bench.suite, bench.size("WATCHERS", 15000, 200)
    pairs, each, shares = [], [], None
    for _ in range(RUNS):
        before = suite.settled_pss_kib()
        parked = Watchers(suite, "bench/watched", 1, count, 1, 100)
        try:
            each.append((suite.settled_pss_kib() - before) * 1024 / count)
            with Shares(suite, "watchers") as shares:
                results = parked.read("wake")
        finally:
            parked.stop()
        expect_all(results, count)
        # the reference last: its answers are as long as those just seen
        bare = subprocess.run([Watchers.program(), "-b", suite.address, "8500", str(count), str(int(results[0]["bytes"])), "127.100.0.0"],
                              capture_output=True, text=True, timeout=600)
        if bare.returncode != 0:
            raise Failed(f"bare loop: {bare.stderr.strip()}")
        pairs.append((float(bare.stdout.split()[1]), results[0]["woken_ms"]))
        time.sleep(0 if SHORT else 1)  # closed connections are still being worked off by the kernel
    # what was given out once stays with the process: the first round tells
    bench.report.row(f"{count:,} parked blocking queries over one httpd (PSS)", "<= 2 KB each", f"{max(each):,.0f} bytes each")
    bench.report.pairs(f"one write wakes {count:,} watchers of one key", "<= 2", pairs, "bare loop {:.0f} ms", "{:.0f} ms", shares.text)


def parked_many(bench):
    """As many as the issue's 100,000, over 1,000 keys, on a suite of its own with several httpd."""
    from suite import Suite
    count, keys = bench.size("PARKED", 100000, 400), bench.size("PARKED_KEYS", 1000, 20)
    processes = 2 if SHORT else -(-count // 16000)
    suite = Suite.server(bench.path("parked"), f"{NET}.5", instances={"httpd": processes})
    bench.own(suite)
    suite.start().ready()
    before = suite.settled_pss_kib()
    parked = Watchers(suite, "bench/many", keys, count, processes, 110)
    try:
        bytes_each = (suite.settled_pss_kib() - before) * 1024 / count
        start = time.monotonic()
        load(suite.address, "PUT", "/v1/kv/bench/many/%u", "-c", 8, "-n", keys, "-b", "second")
        results = parked.read("read")
        seconds = time.monotonic() - start
    finally:
        parked.stop()
    expect_all(results, count)
    suite.stop()
    bench.report.row(f"{count:,} parked queries of {keys:,} keys, {processes} httpd (PSS)", "<= 2 KB each",
                     f"{bytes_each:,.0f} bytes each, all woken in {seconds:.1f} s")
