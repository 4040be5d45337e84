"""A real suite as the benchmark drives it: started, asked, measured by /proc, ended by process id.

Sizes come as BENCH_* variables (see run); addresses are BENCH_NET.1 and up, 127.9.0.1 unless told otherwise.
"""
import http.client
import json
import os
import signal
import socket
import subprocess
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build"))
SHORT = os.environ.get("BENCH_SHORT") == "1"
RUNS = int(os.environ.get("BENCH_RUNS", "1" if SHORT else "5"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "1" if SHORT else "4"))
NET = os.environ.get("BENCH_NET", "127.9.0")
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE_S = 180  # nothing is timed by it: only what hangs is given up


class Failed(Exception):
    """A row that could not be measured, and why."""


def wait_for(condition, what, seconds=PATIENCE_S, pause=0.002):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if result := condition():
                return result
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(pause)
    raise Failed(f"waited {seconds} s for {what}")


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(child) for child in f.read().split()]
    except OSError:
        return []


def descendants(pid):
    """pid and all below it."""
    found = [pid]
    for one in found:
        found += children(one)
    return found


def cpu_of(pid):
    """Name and CPU seconds of a process, its ended children not counted; None: it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            text = f.read()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2:].split()
    return text[text.index("(") + 1:text.rindex(")")], (int(fields[11]) + int(fields[12])) / TICKS


def runs(pid):
    """It is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            text = f.read()
    except OSError:
        return False
    return text[text.rindex(")") + 2] != "Z"


class Suite:
    """One server of its own on an address of its own."""

    def __init__(self, directory, address, *flags, config=None, instances=None, node="bench", prefix=()):
        """prefix: what the command line begins with, such as a network namespace to run in."""
        os.makedirs(directory, exist_ok=True)
        self.directory, self.address, self.flags, self.node, self.prefix = directory, address, flags, node, prefix
        self.config_dir = os.path.join(directory, "config")
        self.environment = dict(os.environ)
        os.makedirs(self.config_dir, exist_ok=True)
        if config is not None:
            self.configure(config)
        if instances is not None:
            self.set_instances(instances)
        self.process = None

    @classmethod
    def server(cls, directory, address, **options):
        suite = cls(directory, address, "-server", "-bootstrap-expect=1", f"-data-dir={directory}/data", **options)
        return suite

    def configure(self, config):
        with open(os.path.join(self.config_dir, "bench.json"), "w") as f:
            json.dump(config, f)

    def set_instances(self, instances):
        """The daemon table with so many of some daemons."""
        rows = ",\n".join(f'  {{ name = "{name}"; role = "{"server" if name == "raftd" else "all"}"; instances = {instances.get(name, 1)}; }}'
                          for name in ("raftd", "catalogd", "gossipd", "checkd", "httpd", "dnsd"))
        path = os.path.join(self.directory, "consuld.conf")
        with open(path, "w") as f:
            f.write(f"daemons = (\n{rows}\n);\n")
        self.environment["CONSULD_CONF"] = path

    def start(self):
        """Starts it; returns at once."""
        self.log = open(os.path.join(self.directory, "log"), "ab")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [*self.prefix, os.path.join(BUILD, "bin/consulctl"), "agent", f"-bind={self.address}", f"-client={self.address}",
             f"-node={self.node}", f"-config-dir={self.config_dir}", *self.flags],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=self.environment)
        return self

    def ready(self):
        """Seconds from the start to a leader, with HTTP and DNS answering and this node in the catalog."""
        self.wait(lambda: b":8300" in self.get("/v1/status/leader"), "a leader")
        self.wait(self.dns_answers, "DNS")
        return time.monotonic() - self.started

    def wait(self, condition, what):
        def alive_and():
            if self.process.poll() is not None:
                raise Failed(f"the suite ended by itself: {self.last_log()}")
            return condition()
        return wait_for(alive_and, what)

    def last_log(self):
        with open(os.path.join(self.directory, "log"), errors="replace") as f:
            return " / ".join(f.read().strip().splitlines()[-3:])

    def request(self, method, path, body=None):
        """Status, headers and body."""
        c = http.client.HTTPConnection(self.address, 8500, timeout=PATIENCE_S)
        try:
            c.request(method, path, body)
            reply = c.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            c.close()

    def get(self, path):
        status, _, body = self.request("GET", path)
        if status != 200:
            raise OSError(f"GET {path}: {status} {body[:200]!r}")
        return body

    def put(self, path, body):
        status, _, answer = self.request("PUT", path, body)
        if status != 200:
            raise Failed(f"PUT {path}: {status} {answer[:200]!r}")
        return answer

    def dns_answers(self):
        query = b"\0\7\1\0\0\1\0\0\0\0\0\0\5bench\4node\6consul\0\0\1\0\1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.05)
            s.connect((self.address, 8600))
            s.send(query)
            return s.recv(512)[:2] == b"\0\7"

    def pids(self):
        return descendants(self.process.pid)

    def pid_of(self, name):
        for pid in self.pids():
            found = cpu_of(pid)
            if found is not None and found[0] == name:
                return pid
        raise Failed(f"{name} does not run")

    def pss_kib(self):
        """Proportional set size of all daemons together."""
        total = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
            except OSError:
                pass  # a helper that ended
        return total

    def memory(self):
        """By daemon: the PSS in KiB of pages of the store's file, data.mdb, and of all else."""
        out = {}
        for pid in self.pids():
            found = cpu_of(pid)
            try:
                with open(f"/proc/{pid}/smaps") as f:
                    store, rest, inside = 0, 0, False
                    for line in f:
                        if line[0] in "0123456789abcdef":
                            inside = line.rstrip().endswith("/data.mdb")
                        elif line.startswith("Pss:"):
                            store, rest = store + int(line.split()[1]) * inside, rest + int(line.split()[1]) * (not inside)
            except OSError:
                continue
            if found is not None:
                before = out.get(found[0], (0, 0))
                out[found[0]] = before[0] + store, before[1] + rest
        return out

    def settled_pss_kib(self):
        """PSS when it has stopped to grow: three readings in a row within 0.5 %."""
        readings = []
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            readings.append(self.pss_kib())
            last = readings[-3:]
            if len(last) == 3 and max(last) - min(last) <= max(last) * 0.005:
                return last[-1]
            time.sleep(0.3)
        raise Failed("memory does not settle")

    def cpu(self):
        """CPU seconds so far by daemon (instances of one name together)."""
        out = {}
        for pid in self.pids():
            found = cpu_of(pid)
            if found is not None:
                out[found[0]] = out.get(found[0], 0) + found[1]
        return out

    def wakeups(self):
        """Voluntary context switches so far, of all daemons together."""
        total = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/status") as f:
                    total += sum(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches"))
            except OSError:
                pass
        return total

    def reload(self):
        self.put("/v1/agent/reload", b"")

    def stop(self):
        """An ordered end."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed("the suite did not end within 60 s")
        finally:
            self.log.close()
            self.process = None
        self.expect_no_fault()

    def expect_no_fault(self):
        """What sanitizers and failed assertions leave in the log."""
        with open(os.path.join(self.directory, "log"), errors="replace") as f:
            for line in f:
                if any(word in line for word in ("runtime error", "AddressSanitizer", "LeakSanitizer", "panic:")):
                    raise Failed(f"the suite reported a fault: {line.strip()}")

    def kill(self):
        """kill -9 of every process of it."""
        if self.process is None:
            return
        pids = self.pids()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.log.close()
        self.process = None
        wait_for(lambda: not any(runs(pid) for pid in pids), "the end of killed daemons")
