"""Rows about several agents on this machine: three durable servers, a client beside them, and what happens when the leader is lost.

Servers that a link is cut of live in network namespaces of their own on one bridge; that takes root and iproute2.
"""
import errno
import os
import selectors
import shutil
import signal
import socket
import subprocess
import time

from report import median
from suite import NET, PATIENCE_S, SECONDS, SHORT, Failed, Suite, wait_for
from tools import HTTP_GENERATOR, Nginx, Shares, http_load, load
from rows_http import RUNS, VALUE

SERVERS = 3
ATTEMPT_EVERY_S, ATTEMPT_S = 0.02, 1.5  # a new write is tried so often at each server, and given up after so long


class Cluster:
    """Servers of one datacenter, known by their addresses."""

    def __init__(self, bench, name, addresses, prefixes=None):
        self.suites = []
        joins = [f"-retry-join={address}" for address in addresses]
        for i, address in enumerate(addresses):
            directory = bench.path(f"{name}{i}")
            self.suites.append(Suite(directory, address, "-server", f"-bootstrap-expect={len(addresses)}", f"-data-dir={directory}/data",
                                     "-retry-interval=1s", *joins, node=f"{name}{i}", prefix=prefixes[i] if prefixes else ()))
            bench.own(self.suites[-1])

    def start(self):
        for suite in self.suites:
            suite.start()
        self.settle()
        return self

    def cpu(self):
        """CPU seconds so far by daemon, of all servers together."""
        out = {}
        for suite in self.suites:
            for name, used in suite.cpu().items():
                out[name] = out.get(name, 0) + used
        return out

    def leader(self):
        """The server that all take for the leader."""
        found = None

        def agreed():
            nonlocal found
            said = {suite.get("/v1/status/leader") for suite in self.suites}
            found = [suite for suite in self.suites if said == {f'"{suite.address}:8300"'.encode()}]
            return found

        wait_for(agreed, "a leader of all servers")
        return found[0]

    def settle(self):
        """All servers agree, and have what is written now."""
        token = os.urandom(8).hex()
        self.leader()
        wait_for(lambda: self.suites[0].request("PUT", "/v1/kv/bench/settled", token)[2].strip() == b"true", "a write")
        for suite in self.suites:
            suite.wait(lambda suite=suite: suite.get("/v1/kv/bench/settled?raw&stale") == token.encode(), "a write on all servers")
        self.leader()

    def stop(self):
        for suite in self.suites:
            suite.kill()


def three_servers_put(bench):
    cluster = Cluster(bench, "three", [f"{NET}.{11 + i}" for i in range(SERVERS)]).start()
    options = ("-c", 64, "-t", SECONDS)
    nginx = Nginx(bench.path("nginx"), bench.nginx_address, len("true"))
    pairs, p99, shares = [], [], None
    try:
        for _ in range(RUNS):
            reference = load(nginx.address, "GET", "/", *options, port=nginx.PORT)["rate"] if nginx.here else None
            leader = cluster.leader()
            with Shares(cluster, "load") as shares:
                figures = load(leader.address, "PUT", "/v1/kv/bench/put/%u", *options, "-m", 1000, "-b", VALUE)
            pairs.append((reference, figures["rate"]))
            p99.append(figures["p99_us"] / 1000)
    finally:
        nginx.stop()
        cluster.stop()
    bench.report.pairs(f"durable KV PUT at the leader of {SERVERS} servers, 64 connections", ">= 0.17", pairs, "nginx {:,.0f}/s",
                       "{:,.0f}/s, p99 " + f"{median(p99):.1f} ms", shares.text)


def client(bench):
    """A client agent: what it takes when idle, and its GETs beside those of its server."""
    server = Suite.server(bench.path("of-client"), f"{NET}.14")
    one = Suite(bench.path("client"), f"{NET}.15", f"-data-dir={bench.path('client')}/data", f"-retry-join={server.address}", node="client")
    for suite in (server, one):
        bench.own(suite)
        suite.start()
    try:
        server.ready()
        one.wait(lambda: b"client" in server.get("/v1/health/node/client"), "the client in the catalog")
        server.put("/v1/kv/bench/key", VALUE)
        one.wait(lambda: one.get("/v1/kv/bench/key?raw") == VALUE.encode(), "a key on the client")
        memory, pairs, shares = one.settled_pss_kib() * 1024 / 1e6, [], None
        bench.report.row("idle client suite, all daemons (PSS)", "<= 7 MB", f"{memory:.1f} MB")
        for _ in range(RUNS):
            reference = http_load(server.address, "/v1/kv/bench/key")
            with Shares(one, HTTP_GENERATOR) as shares:
                pairs.append((reference, http_load(one.address, "/v1/kv/bench/key")))
        bench.report.pairs("KV GET on a client, 64 connections", ">= 0.6", pairs, "on its server {:,.0f}/s", "{:,.0f}/s", shares.text)
    finally:
        one.kill()
        server.kill()


# ---- losing the leader ----


class Attempt:
    """One PUT under way."""

    def __init__(self, address, body):
        self.began, self.answer = time.monotonic(), b""
        self.rest = (f"PUT /v1/kv/bench/failover HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
                     f"{body}").encode()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        if self.socket.connect_ex((address, 8500)) not in (0, errno.EINPROGRESS):
            self.rest = b""

    def step(self, events):
        """True: accepted; False: it has failed; None: it goes on."""
        try:
            if events & selectors.EVENT_WRITE and self.rest:
                self.rest = self.rest[self.socket.send(self.rest):]
            if events & selectors.EVENT_READ:
                data = self.socket.recv(4096)
                self.answer += data
                if not data:
                    return self.answer.startswith(b"HTTP/1.1 200") and self.answer.split(b"\r\n\r\n")[-1].strip() == b"true"
        except BlockingIOError:
            return None
        except OSError:
            return False
        return None


def first_write(addresses, since):
    """Seconds since then until a PUT is accepted anywhere. One is begun at each address every ATTEMPT_EVERY_S, as by many clients of which each
    asks once; its own waiting within the suite counts."""
    with selectors.DefaultSelector() as selector:
        due, end = since, since + PATIENCE_S

        def give_up(attempt):
            selector.unregister(attempt.socket)
            attempt.socket.close()

        try:
            while (now := time.monotonic()) < end:
                for attempt in [key.data for key in selector.get_map().values() if now - key.data.began > ATTEMPT_S]:
                    give_up(attempt)
                if now >= due:
                    due += ATTEMPT_EVERY_S
                    for address in addresses:
                        attempt = Attempt(address, "x")
                        selector.register(attempt.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, attempt)
                for key, events in selector.select(max(0, due - time.monotonic())):
                    accepted = key.data.step(events)
                    if accepted:
                        return time.monotonic() - since
                    if accepted is False:
                        give_up(key.data)
                    elif not key.data.rest:
                        selector.modify(key.fileobj, selectors.EVENT_READ, key.data)
        finally:
            for key in list(selector.get_map().values()):
                give_up(key.data)
    raise Failed(f"no write was accepted for {PATIENCE_S} s")


class Namespaces:
    """One namespace for each server, its link's other end on a bridge."""

    def __init__(self, count):
        if shutil.which("ip") is None or os.geteuid() != 0:
            raise Failed("cutting links takes root and iproute2")
        self.name, self.count = f"cb{os.getpid()}", count
        net = f"10.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
        self.addresses = [f"{net}.{i + 1}" for i in range(count)]
        self.prefixes = [("ip", "netns", "exec", f"{self.name}-{i}") for i in range(count)]
        self._ip("link", "add", self.name, "type", "bridge")
        self._ip("addr", "add", f"{net}.254/24", "dev", self.name)
        self._ip("link", "set", self.name, "up")
        for i, address in enumerate(self.addresses):
            space = f"{self.name}-{i}"
            self._ip("netns", "add", space)
            self._ip("link", "add", f"{self.name}.{i}", "type", "veth", "peer", "name", "eth0", "netns", space)
            self._ip("link", "set", f"{self.name}.{i}", "master", self.name, "up")
            self._ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            self._ip("-n", space, "link", "set", "eth0", "up")
            self._ip("-n", space, "link", "set", "lo", "up")

    @staticmethod
    def _ip(*args):
        done = subprocess.run(["ip", *args], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"ip {' '.join(args)}: {done.stderr.strip()}")

    def link(self, i, state):
        self._ip("link", "set", f"{self.name}.{i}", state)

    def remove(self):
        for i in range(self.count):
            subprocess.run(["ip", "netns", "del", f"{self.name}-{i}"], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self.name], capture_output=True, check=False)


def signal_all(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


class Strikes:
    """What is done to the leader, and undone. Each returns how to heal."""

    def __init__(self, cluster, spaces):
        self.cluster, self.spaces = cluster, spaces

    def kill(self, leader):
        leader.kill()
        return leader.start

    def stop(self, leader):
        pids = leader.pids()
        signal_all(pids, signal.SIGSTOP)
        return lambda: signal_all(pids, signal.SIGCONT)

    def cut(self, leader):
        i = self.cluster.suites.index(leader)
        self.spaces.link(i, "down")
        return lambda: self.spaces.link(i, "up")

    def kill_daemon(self, leader, name):
        os.kill(leader.pid_of(name), signal.SIGKILL)
        return lambda: None

    def stop_daemon(self, leader, name):
        pid = leader.pid_of(name)
        os.kill(pid, signal.SIGSTOP)
        return lambda: signal_all([pid], signal.SIGCONT)


def failovers(bench):
    rounds = bench.size("FAILOVERS", 20, 1)
    spaces = Namespaces(SERVERS)
    cluster = None
    try:
        cluster = Cluster(bench, "failover", spaces.addresses, spaces.prefixes).start()
        strikes = Strikes(cluster, spaces)
        works = [("the leader's server: kill -9", strikes.kill, False), ("the leader's server: SIGSTOP", strikes.stop, False),
                 ("the leader's link cut", strikes.cut, False)]
        for daemon in ("raftd", "catalogd"):
            works.append((f"the leader's {daemon} alone: kill -9", lambda leader, d=daemon: strikes.kill_daemon(leader, d), True))
            works.append((f"the leader's {daemon} alone: SIGSTOP", lambda leader, d=daemon: strikes.stop_daemon(leader, d), True))
        for work, strike, leader_too in works:
            seconds = []
            for _ in range(rounds):
                leader = cluster.leader()
                addresses = [suite.address for suite in cluster.suites if leader_too or suite is not leader]
                since = time.monotonic()
                heal = strike(leader)
                try:
                    seconds.append(first_write(addresses, since))
                finally:
                    heal()
                cluster.settle()
            bench.report.row(f"next write accepted after {work}", "<= 1.5 s",
                             f"median {median(seconds):.2f} s, worst {max(seconds):.2f} s of {len(seconds)}")
    finally:
        if cluster is not None:
            cluster.stop()
        spaces.remove()
