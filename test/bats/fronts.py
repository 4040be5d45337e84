#!/usr/bin/env python3
"""Reads through two fronts that answer from copies of their own, while catalogd is killed and fronts are stopped and go on.

    fronts.py ADDRESS SUITE_PID ROUNDS

Each key holds a counter. What a read must show at least is the highest value that was acknowledged, or shown to another read,
before the read began. Writes are conditional on the index seen last, so that one whose outcome is unknown can not come later than
its successor. Every round stops one front, kills catalogd or leaves it alone, writes all keys through the other front, sends reads to the
stopped one and lets it go on; readers and writers without pause run beside it.
"""
import base64
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

ADDRESS, SUITE, ROUNDS = sys.argv[1], sys.argv[2], int(sys.argv[3])
KEYS = [f"fronts/{i}" for i in range(8)]
CONNECTIONS = 6  # of the rounds, to each front
lock = threading.Lock()
least = {k: -1 for k in KEYS}
faults = []
counts = {"reads": 0, "writes": 0, "errors": 0, "kills": 0}


class Connection:
    def __init__(self, timeout=20):
        self.socket = socket.create_connection((ADDRESS, 8500), timeout)
        self.file = self.socket.makefile("rb")

    def send(self, method, target, body=b""):
        self.socket.sendall(f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    def take(self):
        line = self.file.readline()
        if not line:
            raise OSError("closed")
        status, size = int(line.split()[1]), 0
        while (line := self.file.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        return status, self.file.read(size)

    def ask(self, method, target, body=b""):
        self.send(method, target, body)
        return self.take()

    def close(self):
        self.file.close()
        self.socket.close()


def fronts():
    return [int(p) for p in subprocess.run(["pgrep", "-P", SUITE, "-x", "httpd"], capture_output=True, text=True).stdout.split()]


def catalogd():
    out = subprocess.run(["pgrep", "-P", SUITE, "-x", "catalogd"], capture_output=True, text=True).stdout.split()
    return int(out[0]) if out else None


def shown(key, floor, status, body, who):
    """A read that began when floor was known has been answered."""
    if status != 200:
        with lock:
            counts["errors"] += 1
        return
    value = int(base64.b64decode(json.loads(body)[0]["Value"]))
    with lock:
        counts["reads"] += 1
        if value < floor:
            faults.append(f"{who}: {key} is {value}, but {floor} was known before")
        least[key] = max(least[key], value)


def write(connection, key):
    """One increment; True when it was acknowledged."""
    status, body = connection.ask("GET", f"/v1/kv/{key}?consistent")
    if status not in (200, 404):
        raise OSError("no leader")
    entry = json.loads(body)[0] if status == 200 else {"ModifyIndex": 0, "Value": base64.b64encode(b"0")}
    value = int(base64.b64decode(entry["Value"])) + 1
    status, body = connection.ask("PUT", f"/v1/kv/{key}?cas={entry['ModifyIndex']}", str(value).encode())
    if status != 200:
        raise OSError("outcome unknown")
    if body == b"true":
        with lock:
            counts["writes"] += 1
            least[key] = max(least[key], value)
    return body == b"true"


def write_until_acknowledged(key, connections):
    for _ in range(2000):
        try:
            if write(connections[0], key):
                return
        except OSError:
            connections[0].close()
            connections[0] = Connection()
            time.sleep(0.005)
    sys.exit(f"{key} can not be written")


stop = threading.Event()


def load(number, writes):
    """Without pause, over a connection to whatever front has taken it; those of a stopped one wait for it."""
    choice = random.Random(number)
    connection = None
    while not stop.is_set():
        key = choice.choice(KEYS)
        try:
            if connection is None:
                connection = Connection()
            if writes:
                write(connection, key)
                time.sleep(0.002)
            else:
                floor = least[key]
                shown(key, floor, *connection.ask("GET", f"/v1/kv/{key}"), "load")
        except OSError:
            with lock:
                counts["errors"] += 1
            connection = None
            time.sleep(0.005)


def dial(front, other):
    """Connections that this front has accepted: the other one is stopped meanwhile."""
    os.kill(other, signal.SIGSTOP)
    try:
        connections = [Connection() for _ in range(CONNECTIONS)]
        for c in connections:
            c.ask("GET", "/v1/status/leader")
    finally:
        os.kill(other, signal.SIGCONT)
    return connections


def copies_are_used(connection):
    """What a front has a copy of it answers while catalogd does not say a word."""
    for _ in range(3):
        connection.ask("GET", f"/v1/kv/{KEYS[0]}")
    pid = catalogd()
    os.kill(pid, signal.SIGSTOP)
    try:
        connection.socket.settimeout(2)
        connection.ask("GET", f"/v1/kv/{KEYS[0]}")
    except TimeoutError:
        sys.exit("a hot key was not answered while catalogd was stopped: no copy")
    finally:
        os.kill(pid, signal.SIGCONT)
    connection.socket.settimeout(20)


def play(number, stopped, going, kill):
    queued, writer = [], list(going[1][:1])
    for c in stopped[1] + going[1]:
        for key in KEYS:
            for _ in range(3):  # the third answer comes from a copy
                floor = least[key]
                shown(key, floor, *c.ask("GET", f"/v1/kv/{key}"), f"round {number}, before")
    os.kill(stopped[0], signal.SIGSTOP)
    try:
        if kill:
            os.kill(catalogd(), signal.SIGKILL)
            counts["kills"] += 1
        for key in KEYS:
            write_until_acknowledged(key, writer)
        for c in stopped[1]:
            for key in KEYS:
                queued.append((c, key, least[key]))
                c.send("GET", f"/v1/kv/{key}")
    finally:
        os.kill(stopped[0], signal.SIGCONT)
    for c, key, floor in queued:
        shown(key, floor, *c.take(), f"round {number}, {'killed' if kill else 'alive'}, front that was stopped")
    going[1][0] = writer[0]


def main():
    seed = int(os.environ.get("SEED", "1"))
    random.seed(seed)
    first, second = fronts()
    start = [Connection()]
    for key in KEYS:
        write_until_acknowledged(key, start)
    copies_are_used(start[0])
    sides = [[first, dial(first, second)], [second, dial(second, first)]]
    threads = [threading.Thread(target=load, args=(i, i == 0)) for i in range(3)]
    for t in threads:
        t.start()
    try:
        for number in range(ROUNDS):
            random.shuffle(sides)
            play(number, sides[0], sides[1], number % 2 == 0)
            if faults:
                break
    finally:
        stop.set()
        for t in threads:
            t.join()
    print(f"seed {seed}: {counts}")
    for f in faults[:10]:
        print(f)
    return 1 if faults or counts["kills"] == 0 or sorted(fronts()) != sorted([first, second]) else 0


sys.exit(main())
