"""lab.py - machines for the torture: network namespaces with a server or client agent in each, and what can be done to them

Runs inside namespaces of its own (test/torture/run), so that nothing of it is seen from outside and all of it goes with its last process. Each
machine is a namespace with one link to the middle, where packets are forwarded, and where nftables drops what is cut or lost: one direction
of one pair is one rule. Who stands in the middle (the recorder) reaches every machine, however they are cut from each other.

A machine's data directory is a file system of its own in memory, which can be full. Machines whose clock is to jump run under libfaketime
(wall clock alone; the system's own clock does not jump) and without the sandbox, which does not know it.
"""
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bats"))
from raft import call  # noqa: E402

DATA_BYTES = 192 << 20
FAKETIME = "/usr/lib/%s-linux-gnu/faketime/libfaketimeMT.so.1" % os.uname().machine
DAEMONS = ("raftd", "catalogd", "gossipd", "httpd", "checkd", "dnsd")


def run(*command, **more):
    return subprocess.run(command, check=True, **more)


def processes():
    """parent -> [(pid, name)], of all that are not dead"""
    children = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as f:
                stat = f.read()
        except OSError:
            continue
        name = stat[stat.index("(") + 1 : stat.rindex(")")]
        state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
        if state not in "ZX":
            children.setdefault(int(parent), []).append((int(entry), name))
    return children


def http(machine, method, path, body=None, timeout=5):
    """The body, or None without an answer or with an error."""
    request = urllib.request.Request(f"http://{machine.address}:8500{path}", method=method, data=body)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            return reply.read()
    except (OSError, ValueError):
        return None


class Machine:
    """One agent: a server, or a client."""

    def __init__(self, lab, number, server=True):
        self.lab, self.number, self.server = lab, number, server
        self.place = f"s{number}" if server else f"c{number}"
        self.address = f"10.35.{number}.2"
        self.directory = os.path.join(lab.directory, self.place)
        self.data = os.path.join(self.directory, "data")
        self.filler = os.path.join(self.data, "filler")
        self.clock = os.path.join(self.directory, "clock")
        self.faked = False
        self.life = 0  # of its data directory
        self.process = None
        self.wanted = False  # to be running
        self.removed = False  # from the cluster: its directory counts for nothing
        self.settled = False  # has had the state of the others
        self.stopped = set()
        self.lock = threading.RLock()

    # ---- what it is ----

    @property
    def name(self):
        return f"{self.place}-{self.life}"

    @property
    def id(self):
        return "%08d-0000-4000-8000-%012d" % (self.number, self.life)

    def raft(self, method, args=None, timeout=1.0):
        """Asks its raftd; RuntimeError or OSError."""
        try:
            return call(os.path.join(self.data, "run/raftd.sock"), method, args or {}, timeout=timeout)
        except SystemExit as e:
            raise OSError(str(e)) from e

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def tree(self):
        """[(pid, name)] of all its processes, the supervisor first."""
        if not self.alive():
            return []
        children, found = processes(), [(self.process.pid, "consuld")]
        for pid, _ in found:
            found.extend(children.get(pid, []))
        return found

    # ---- its life ----

    def wipe(self):
        """A new machine: empty directory, another name and ID."""
        with self.lock:
            self.life += 1
            self.settled = False
            if os.path.ismount(self.data):
                run("umount", "-l", self.data)
            os.makedirs(self.data, exist_ok=True)
            run("mount", "-t", "tmpfs", "-o", f"size={DATA_BYTES},mode=700", "torture", self.data)

    def start(self):
        with self.lock:
            self.wanted = True
            if self.alive():
                return
            others = [m.address for m in self.lab.machines if m.server and m is not self and m.life > 0]
            command = ["nsenter", f"--net=/run/netns/{self.place}", self.lab.ctl, "agent", f"-bind={self.address}",
                       f"-client={self.address}", f"-node={self.name}", f"-node-id={self.id}", f"-data-dir={self.data}",
                       f"-config-file={self.lab.config}", f"-pid-file={self.directory}/pid"]
            command += [f"-retry-join={address}" for address in others]
            if self.server:
                command.append("-server")
                if self.number <= self.lab.voters and self.life == 1:
                    command.append(f"-bootstrap-expect={self.lab.voters}")
            environment = dict(os.environ, LC_ALL="C", TZ="UTC")
            if self.faked:
                environment.update(LD_PRELOAD=FAKETIME, FAKETIME_TIMESTAMP_FILE=self.clock, FAKETIME_CACHE_DURATION="1",
                                   FAKETIME_DONT_FAKE_MONOTONIC="1", FAKETIME_DONT_RESET="1", CONSULD_CONF=self.lab.unsandboxed)
            with open(os.path.join(self.directory, "log"), "ab") as log:
                self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    def signal(self, which, names=None):
        """To all its processes, or to those of these names and their helpers. Returns how many."""
        count, parents = 0, set()
        children = processes()
        for pid, name in self.tree():
            if names is None or name in names or pid in parents:
                parents.update(child for child, _ in children.get(pid, []))
                try:
                    os.kill(pid, which)
                    count += 1
                except ProcessLookupError:
                    pass
        return count

    def kill(self):
        """All at once, as by a loss of power that spares what was written."""
        with self.lock:
            self.wanted = False
            self.signal(signal.SIGKILL)
            self.end_wait()

    def end(self):
        """In order."""
        with self.lock:
            self.wanted = False
            self.signal(signal.SIGCONT)
            if self.alive():
                self.process.terminate()
            self.end_wait()

    def end_wait(self):
        if self.process is None:
            return
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.lab.say(f"{self.name} does not end; killed")
            self.signal(signal.SIGKILL)
            self.process.wait()
        deadline = time.monotonic() + 20
        while self.leftovers() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.process = None

    def leftovers(self):
        """Daemons outlive their supervisor by the time that their death takes."""
        mark = os.path.join(self.data, "run").encode()
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/cmdline", "rb") as f:
                        if mark in f.read().split(b"\0"):
                            return True
                except OSError:
                    pass
        return False

    # ---- its disk and clock ----

    def disk_fill(self, left):
        stat = os.statvfs(self.data)
        size = stat.f_bavail * stat.f_frsize - left
        if size > 0:
            with open(self.filler, "wb") as f:
                try:
                    os.posix_fallocate(f.fileno(), 0, size)
                except OSError:
                    pass

    def disk_free(self):
        try:
            os.unlink(self.filler)
        except FileNotFoundError:
            pass

    def clock_set(self, seconds):
        """Its wall clock's distance from the right time."""
        new = self.clock + ".new"
        with open(new, "w") as f:
            f.write("%+ds\n" % seconds)
        os.rename(new, self.clock)


class Lab:
    def __init__(self, directory, build, voters, spares, clients, say):
        self.directory, self.voters, self.say = directory, voters, say
        self.ctl = os.path.join(build, "bin/consulctl")
        self.dump_program = os.path.join(build, "libexec/consuld/catalogd-snapshot")
        self.config = os.path.join(directory, "agent.json")
        self.unsandboxed = os.path.join(directory, "consuld.conf")
        self.machines = [Machine(self, n) for n in range(1, voters + spares + 1)]
        self.machines += [Machine(self, voters + spares + n, False) for n in range(1, clients + 1)]
        self.rules, self.rules_lock = {}, threading.Lock()
        with open(self.config, "w") as f:
            f.write('{"raft_snapshot_threshold": 2000, "raft_snapshot_interval": "5s", "raft_trailing_logs": 200,'
                    ' "session_ttl_min": "1s", "limits": {"http_max_conns_per_client": 1000}}\n')
        with open(self.unsandboxed, "w") as f:
            f.write("daemons = (\n" + ",\n".join(
                '\t{ name = "%s"; role = "%s"; instances = 1; user = ""; sandbox = false; }' % (
                    d, "server" if d == "raftd" else "all") for d in DAEMONS) + "\n);\n")
        run("mount", "-t", "tmpfs", "torture", "/run")
        os.mkdir("/run/netns")
        with open("/proc/sys/net/ipv4/ip_forward", "w") as f:
            f.write("1")
        run("ip", "link", "set", "lo", "up")
        for m in self.machines:
            os.makedirs(m.directory)
            m.clock_set(0)
            middle = f"10.35.{m.number}.1"
            run("ip", "netns", "add", m.place)
            run("ip", "link", "add", m.place, "type", "veth", "peer", "name", "up0", "netns", m.place)
            run("ip", "address", "add", f"{middle}/24", "dev", m.place)
            run("ip", "link", "set", m.place, "up")
            run("ip", "-n", m.place, "address", "add", f"{m.address}/24", "dev", "up0")
            run("ip", "-n", m.place, "link", "set", "lo", "up")
            run("ip", "-n", m.place, "link", "set", "up0", "up")
            run("ip", "-n", m.place, "route", "add", "default", "via", middle)
        self.nft("add table ip torture\nadd chain ip torture forward { type filter hook forward priority 0; policy accept; }\n")

    @property
    def servers(self):
        return [m for m in self.machines if m.server]

    @property
    def running(self):
        return [m for m in self.servers if m.wanted]

    @staticmethod
    def nft(text):
        run("nft", "-f", "-", input=text.encode())

    # ---- the network ----

    def rules_set(self, owner, rules):
        """What one fault drops: [(from, to, percent)]; [] ends it."""
        with self.rules_lock:
            self.rules[owner] = rules
            text = "flush chain ip torture forward\n"
            for drops in self.rules.values():
                for a, b, percent in drops:
                    chance = "" if percent >= 100 else f"numgen random mod 100 < {percent} "
                    text += f"add rule ip torture forward ip saddr {a.address} ip daddr {b.address} {chance}drop\n"
            self.nft(text)

    # ---- Raft ----

    def leader(self):
        """Who leads in the latest term, or None."""
        found, term = None, 0
        for m in self.running:
            try:
                status = m.raft("Raft.Status", timeout=0.3)
            except (OSError, RuntimeError):
                continue
            if status["State"] == "leader" and status["Term"] > term:
                found, term = m, status["Term"]
        return found

    def members(self):
        """{ID: entry} as the leader has them; {} without one."""
        leader = self.leader()
        if leader is None:
            return {}
        try:
            return {s["ID"]: s for s in leader.raft("Raft.Peers")["Servers"]}
        except (OSError, RuntimeError):
            return {}

    def end(self, keep):
        """All processes are killed. The data directories go with the namespaces; keep: copies of them stay."""
        for m in self.machines:
            if m.alive():
                m.signal(signal.SIGKILL)
        for m in self.machines:
            if m.process is not None:
                m.process.wait()
            if keep and m.server and os.path.ismount(m.data):
                m.disk_free()
                shutil.copytree(m.data, os.path.join(m.directory, "kept"), ignore=shutil.ignore_patterns("run"))
