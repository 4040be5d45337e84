"""recorder.py - clients of the cluster, and the history of what they asked and were answered (form: history.h)

Each thread is one client that has one request under way at a time. They work on few keys at once, so that they meet there, and leave a key
after some hundred operations for a new one, so that an order can be searched. All times are of one clock (CLOCK_MONOTONIC of this process), taken
before the first byte is sent and behind the last one that came. A request without an answer is of unknown outcome; so is an error, unless it
says that nothing was done.

    registers   get (default, consistent, blocking), put, cas by ModifyIndex, delete, on keys that all clients share
    locks       acquire, release by sessions; sessions that are destroyed, or end by their TTL
    records     a key of its own for each, made by cas=0: what was acknowledged is there at the end, and was made once
    stale       reads of one server each
"""
import base64
import http.client
import json
import random
import select
import threading
import time

TIMEOUT = 2.5
KEY_OPERATIONS = 90
# answers that mean that nothing was done
REFUSALS = ("No cluster leader", "invalid session", "Missing node registration")
NODE = "torture"


class Answer:
    def __init__(self, end, status=0, body=b"", error=""):
        self.end, self.status, self.body, self.error = end, status, body, error


class Slot:
    """The key that clients use at present in one place."""

    def __init__(self, prefix, number):
        self.prefix, self.number, self.generation, self.count = prefix, number, 0, 0
        self.last_seen = (0, 0)  # value, index

    @property
    def key(self):
        return f"{self.prefix}/{self.number}/{self.generation}"


class Recorder:
    def __init__(self, lab, path, seed, think=0.02):
        self.lab, self.seed, self.think = lab, seed, think
        self.out, self.lock = open(path, "w"), threading.Lock()
        self.values, self.session_count = 0, 0
        self.sessions = {}  # ID -> number, of all that were ever made
        self.keys = []
        self.counts = {}
        self.errors = {}
        self.stopping = threading.Event()
        self.threads = []
        self.failed = None
        self.registers = [Slot("register", n) for n in range(4)]
        self.locks = [Slot("lock", n) for n in range(2)]
        for slot in self.registers + self.locks:
            self.keys.append(slot.key)

    # ---- the history ----

    def write(self, line, end):
        op = line.split(" ", 1)[0][3:]
        with self.lock:
            self.out.write(line + "\n")
            self.counts[op, end] = self.counts.get((op, end), 0) + 1

    def value_new(self):
        with self.lock:
            self.values += 1
            return self.values

    def session_new(self):
        with self.lock:
            self.session_count += 1
            return self.session_count

    def slot_key(self, slot):
        with self.lock:
            slot.count += 1
            if slot.count > KEY_OPERATIONS:
                slot.count, slot.last_seen = 0, (0, 0)
                slot.generation += 1
                self.keys.append(slot.key)
            return slot.key

    # ---- threads ----

    def start(self, registers=10, locks=4, records=3, stale=3):
        work = [self.register] * registers + [self.lock_user] * locks + [self.record] * records + [self.stale] * stale
        for number, what in enumerate(work):
            client = Client(self, random.Random(f"{self.seed}/client/{number}"))
            self.threads.append(threading.Thread(target=self.repeat, args=(what, client), daemon=True))
        for t in self.threads:
            t.start()

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join()
        if self.failed:
            raise self.failed

    def repeat(self, what, client):
        try:
            while not self.stopping.is_set():
                what(client)
                self.stopping.wait(client.random.expovariate(1 / self.think))
        except Exception as e:  # an answer that is none, too
            self.failed = e
            self.stopping.set()

    # ---- what they do ----

    def register(self, c):
        slot = c.random.choice(self.registers)
        key, choice, value, index = self.slot_key(slot), c.random.random(), *slot.last_seen
        if choice < 0.30:
            c.get(key, "default", slot)
        elif choice < 0.45:
            c.get(key, "consistent", slot)
        elif choice < 0.50 and index:
            c.get(key, "default", slot, f"&index={index}&wait=1s")
        elif choice < 0.75:
            new = self.value_new()
            c.write("put", key, f"/v1/kv/{key}", new)
        elif choice < 0.95:
            new = self.value_new()
            c.write("cas", key, f"/v1/kv/{key}?cas={index}", new, f" expect={value}")
        else:
            c.delete(key)

    def stale(self, c):
        slot = c.random.choice(self.registers + self.locks)
        c.get(slot.key, "stale", None)

    def record(self, c):
        value = self.value_new()
        key = f"record/{value}"
        answer = c.write("cas", key, f"/v1/kv/{key}?cas=0", value, " expect=0")
        if answer.end != "fail":
            with self.lock:
                self.keys.append(key)

    def lock_user(self, c):
        if c.session is None:
            c.session_create()
            return
        slot = c.random.choice(self.locks)
        key, choice = self.slot_key(slot), c.random.random()
        number, session = c.session
        if choice < 0.40:
            value = self.value_new()
            answer = c.write("acquire", key, f"/v1/kv/{key}?acquire={session}", value, f" session={number}")
            if "invalid session" in answer.error:
                c.session = None
        elif choice < 0.65:
            value = self.value_new()
            c.write("release", key, f"/v1/kv/{key}?release={session}", value, f" session={number}")
        elif choice < 0.80:
            c.get(key, "default", slot)
        elif choice < 0.96:
            c.get(key, "consistent", slot)
        else:
            c.session_destroy()

    # ---- the end ----

    def final_reads(self, machine):
        """Each key once more, by consistent reads of one server; True if all were answered."""
        c = Client(self, random.Random(0), [machine])
        pending = list(self.keys)
        deadline = time.monotonic() + 120
        while pending and time.monotonic() < deadline:
            pending = [key for key in pending if c.get(key, "consistent", None).end != "ok"]
        return not pending

    def close(self):
        self.out.close()


class Client:
    def __init__(self, recorder, rng, machines=None):
        self.r, self.random, self.machines = recorder, rng, machines
        self.connections = {}
        self.session = None

    def machine(self):
        machines = self.machines or [m for m in self.r.lab.machines if m.wanted]
        return self.random.choice(machines or self.r.lab.machines)

    def request(self, machine, method, path, body=None):
        connection = self.connections.get(machine)
        if connection is not None and (connection.sock is None or select.select([connection.sock], [], [], 0)[0]):
            connection.close()  # ended by the other side meanwhile
            connection = None
        try:
            if connection is None:
                connection = http.client.HTTPConnection(machine.address, 8500, timeout=TIMEOUT)
                connection.connect()
                self.connections[machine] = connection
        except OSError as e:
            return Answer("fail", error=type(e).__name__)
        try:
            connection.request(method, path, body=body)
            reply = connection.getresponse()
            data = reply.read()
        except (OSError, http.client.HTTPException) as e:
            connection.close()
            self.connections.pop(machine, None)
            return Answer("unknown", error=type(e).__name__)
        if reply.status == 200 or (reply.status == 404 and method == "GET"):
            return Answer("ok", reply.status, data)
        error = data.decode(errors="replace").strip()
        return Answer("fail" if any(r in error for r in REFUSALS) else "unknown", reply.status, data, error)

    def timed(self, machine, method, path, body=None):
        called = time.monotonic_ns()
        answer = self.request(machine, method, path, body)
        returned = time.monotonic_ns()
        if answer.error:
            with self.r.lock:
                text = answer.error[:100]
                self.r.errors[text] = self.r.errors.get(text, 0) + 1
        times = f" call={called} end={answer.end}" + (f" return={returned}" if answer.end != "unknown" else "")
        return answer, times

    def get(self, key, mode, slot, more=""):
        machine = self.machine()
        # who is asked by a client agent may change, and a server that has no state yet asks another one, and then shows its own, older one
        at = f" at={machine.name}" if machine.server and machine.settled else ""
        query = f"?{mode}" if mode != "default" else "?"
        answer, times = self.timed(machine, "GET", f"/v1/kv/{key}{query}{more}")
        if answer.end != "ok":
            answer.end = "fail"
            with self.r.lock:
                self.r.counts["get", "fail"] = self.r.counts.get(("get", "fail"), 0) + 1
            return answer
        line = f"op=get key={key} mode={mode} via={machine.name}{times}{at}"
        if answer.status == 404:
            line += " value=0"
            if slot is not None and slot.key == key:
                slot.last_seen = (0, 0)
        else:
            entry = json.loads(answer.body)[0]
            value, number = int(base64.b64decode(entry["Value"]).split()[0]), 0
            if entry.get("Session"):
                number = self.r.sessions.get(entry["Session"], 0)
            line += f" value={value} index={entry['ModifyIndex']} lockindex={entry['LockIndex']} session={number}"
            if slot is not None and slot.key == key:
                slot.last_seen = (value, entry["ModifyIndex"])
        self.r.write(line, "ok")
        return answer

    def write(self, op, key, path, value, more=""):
        machine = self.machine()
        answer, times = self.timed(machine, "PUT", path, b"%d torture" % value)
        line = f"op={op} key={key} via={machine.name}{times} value={value}{more}"
        if answer.end == "ok":
            line += f" good={int(answer.body.strip() == b'true')}"
        self.r.write(line, answer.end)
        return answer

    def delete(self, key):
        machine = self.machine()
        answer, times = self.timed(machine, "DELETE", f"/v1/kv/{key}")
        self.r.write(f"op=delete key={key} via={machine.name}{times}", answer.end)

    def session_create(self):
        ttl = self.random.random() < 0.3
        body = {"Node": NODE, "NodeChecks": [], "LockDelay": "0s", "Name": "torture"}
        if ttl:
            body["TTL"] = "10s"
        called = time.monotonic_ns()
        answer = self.request(self.machine(), "PUT", "/v1/session/create", json.dumps(body))
        if answer.end != "ok" or answer.status != 200:
            with self.r.lock:
                text = "session: " + answer.error[:100]
                self.r.errors[text] = self.r.errors.get(text, 0) + 1
            return
        number, session = self.r.session_new(), json.loads(answer.body)["ID"]
        self.r.sessions[session] = number
        self.session = number, session
        if ttl:  # its end may come at any time
            self.r.write(f"op=destroy session={number} call={called} end=unknown", "unknown")

    def session_destroy(self):
        number, session = self.session
        self.session = None
        answer, times = self.timed(self.machine(), "PUT", f"/v1/session/destroy/{session}")
        self.r.write(f"op=destroy session={number}{times}", answer.end)
