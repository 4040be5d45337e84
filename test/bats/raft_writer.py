#!/usr/bin/env python3
"""Writes keys to whichever server leads until told to stop, and remembers what was acknowledged.

    raft_writer.py FILE ADDRESS=SOCKET...       SOCKET: raftd.sock of the server at ADDRESS; FILE gets one acknowledged key a line
    raft_writer.py --check FILE ADDRESS...      each server has all of them, by stale reads; waits until it has

Every key is new and written with cas=0, so an answer `false` means that a write was applied twice. An error, or no answer in time, leaves
a key's outcome open.
"""
import http.client
import json
import signal
import sys
import threading
import time

from raft import call

THREADS = 4


class Servers:
    """Who leads, as the servers' raftd say."""

    def __init__(self, pairs):
        self.sockets = dict(pair.split("=", 1) for pair in pairs)

    def leader(self):
        found = None, 0
        for address, path in self.sockets.items():
            try:
                status = call(path, "Raft.Status", {}, timeout=0.3)
            except (OSError, RuntimeError, SystemExit):
                continue
            if status["State"] == "leader" and status["Term"] > found[1]:
                found = address, status["Term"]
        return found[0]


def run(path, pairs):
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    out = open(path, "w", buffering=1)
    counts = {"acked": 0, "errors": 0, "twice": 0, "gap": 0.0}
    lock = threading.Lock()
    last = [time.monotonic()]
    servers = Servers(pairs)

    def worker(number):
        n, connection = 0, None
        while not stop.is_set():
            key = f"load/{number}/{n}"
            try:
                if connection is None:
                    address = servers.leader()
                    if address is None:
                        stop.wait(0.02)
                        continue
                    connection = http.client.HTTPConnection(address, 8500, timeout=1)
                n += 1
                connection.request("PUT", f"/v1/kv/{key}?cas=0", body=key * 4)
                reply = connection.getresponse()
                body = reply.read()
            except (OSError, http.client.HTTPException):
                connection = None
                with lock:
                    counts["errors"] += 1
                continue
            with lock:
                if reply.status == 200 and body == b"true":
                    now = time.monotonic()
                    counts["acked"] += 1
                    counts["gap"] = max(counts["gap"], now - last[0])
                    last[0] = now
                    out.write(key + "\n")
                elif reply.status == 200:
                    counts["twice"] += 1
                    print(f"applied twice: {key}", flush=True)
                else:
                    counts["errors"] += 1
                    connection = None

    threads = [threading.Thread(target=worker, args=(i,)) for i in range(THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(json.dumps(counts), flush=True)
    return counts["twice"] != 0 or counts["acked"] == 0


def missing(address, acked):
    connection = http.client.HTTPConnection(address, 8500, timeout=10)
    try:
        connection.request("GET", "/v1/kv/load?keys&stale")
        reply = connection.getresponse()
        return acked - set(json.loads(reply.read())) if reply.status == 200 else acked
    except (OSError, http.client.HTTPException):
        return acked


def check(path, addresses):
    acked = set(open(path).read().split())
    end = time.monotonic() + 60
    for address in addresses:
        while (lost := missing(address, acked)) and time.monotonic() < end:
            time.sleep(0.1)
        print(f"{address}: acknowledged {len(acked)}, lost {len(lost)}: {sorted(lost)[:5]}")
        if lost:
            return 1
    return 0 if acked else 1


if sys.argv[1] == "--check":
    sys.exit(check(sys.argv[2], sys.argv[3:]))
sys.exit(run(sys.argv[1], sys.argv[2:]))
