"""nemesis.py - what goes wrong, when, by numbers from a seed

One thread makes faults and heals them, one or two at a time; another one changes the membership meanwhile. What is drawn from the seed
depends on nothing that happens: a fault that meets its target dead does nothing, and the next one is the same. (What the cluster makes of it
depends on the machine's timing too: a seed says what is done, not what comes of it.)
"""
import os
import random
import signal
import threading
import time

from lab import http


class Nemesis:
    def __init__(self, lab, seed, say):
        self.lab, self.say = lab, say
        self.random = random.Random(f"{seed}/nemesis")
        self.member_random = random.Random(f"{seed}/members")
        self.counts = {}
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.faults, self.memberships)]
        self.failed = None
        # what is drawn, and how often; each returns (text, undo) or None if there is nothing to do it to
        self.kinds = [
            (3, "partition", self.partition),
            (3, "isolation", self.isolation),
            (3, "one_way", self.one_way),
            (2, "loss", self.loss),
            (3, "server_kill", self.server_kill),
            (1, "all_kill", self.all_kill),
            (4, "daemon_kill", self.daemon_kill),
            (3, "server_stop", self.server_stop),
            (4, "daemon_stop", self.daemon_stop),
            (2, "clock_jump", self.clock_jump),
            (2, "disk_full", self.disk_full),
            (2, "restart", self.restart),
            (3, "transfer", self.transfer),
        ]

        if os.environ.get("TORTURE_FAULTS"):
            only = os.environ["TORTURE_FAULTS"].split(",")
            self.kinds = [k for k in self.kinds if k[1] in only]
            if "membership" not in only:
                self.threads.pop()

    def start(self):
        for t in self.threads:
            t.start()

    def stop(self):
        """When this returns everything is healed, and all who are to run do."""
        self.stopping.set()
        for t in self.threads:
            t.join()
        self.heal()
        if self.failed:
            raise self.failed

    def heal(self):
        for owner in list(self.lab.rules):
            self.lab.rules_set(owner, [])
        for m in self.lab.machines:
            if m.life:
                m.disk_free()
                m.signal(signal.SIGCONT)
        self.revive()

    def revive(self):
        for m in self.lab.machines:
            with m.lock:
                if m.wanted and not m.alive():
                    status = m.process.poll() if m.process else None
                    self.say(f"{m.name} had ended by itself (status {status}): started again")
                    self.count(f"ended_by_itself_{status}")
                    m.start()

    def count(self, kind):
        self.counts[kind] = self.counts.get(kind, 0) + 1

    # ---- the loop ----

    def faults(self):
        try:
            number = 0
            while not self.stopping.wait(self.random.uniform(0.3, 3)):
                undos = []
                for _ in range(self.random.choice((1, 1, 1, 2))):
                    number += 1
                    kind, make = self.random.choices([(k, f) for _, k, f in self.kinds], [w for w, _, _ in self.kinds])[0]
                    done = make(f"{kind}{number}")
                    if done is None:
                        continue
                    self.count(kind)
                    self.say(f"{kind}: {done[0]}")
                    if done[1]:
                        undos.append((kind, done[1]))
                self.stopping.wait(self.random.choice((0.4, 1.5, 1.5, 3, 3, 6)) * self.random.uniform(0.7, 1.3))
                for kind, undo in undos:
                    undo()
                    self.say(f"{kind}: healed")
                self.revive()
        except Exception as e:  # a fault of ours is none of the cluster's: the run says so
            self.failed = e

    # ---- whom ----

    def target(self):
        """A server; in half of the cases the one that leads. Always two numbers from the seed."""
        leader, pick = self.random.random() < 0.5, self.random.random()
        found = self.lab.leader() if leader else None
        running = self.lab.running
        return found or (running[int(pick * len(running))] if running else None)

    def several(self):
        """Some of all machines that run, by one number each."""
        return [m for m in self.lab.machines if (self.random.random() < 0.5) & m.wanted]

    def all_running(self):
        return [m for m in self.lab.machines if m.wanted]

    # ---- the network ----

    def cut(self, owner, text, pairs, percent=100):
        self.lab.rules_set(owner, [(a, b, percent) for a, b in pairs])
        return text, lambda: self.lab.rules_set(owner, [])

    def partition(self, owner):
        one = self.several()
        other = [m for m in self.all_running() if m not in one]
        pairs = [p for a in one for b in other for p in ((a, b), (b, a))]
        return self.cut(owner, f"{names(one)} | {names(other)}", pairs)

    def isolation(self, owner):
        m = self.target()
        if m is None:
            return None
        pairs = [p for o in self.lab.machines if o is not m for p in ((m, o), (o, m))]
        return self.cut(owner, f"{m.name} from all", pairs)

    def one_way(self, owner):
        m, out, alone, pick = self.target(), self.random.random() < 0.5, self.random.random() < 0.4, self.random.random()
        if m is None:
            return None
        others = [o for o in self.lab.machines if o is not m and o.wanted]
        if alone and others:
            others = [others[int(pick * len(others))]]
        pairs = [(m, o) if out else (o, m) for o in others]
        return self.cut(owner, f"{m.name} {'to' if out else 'from'} {names(others)}", pairs)

    def loss(self, owner):
        some, percent = self.several(), self.random.choice((5, 15, 30, 50))
        pairs = [p for a in some for b in self.lab.machines if a is not b for p in ((a, b), (b, a))]
        return self.cut(owner, f"{percent} % at {names(some)}", pairs, percent)

    # ---- processes ----

    def server_kill(self, _):
        m = self.target()
        return self.kill([m]) if m else None

    def all_kill(self, _):
        spared = self.random.random()
        running = self.lab.running
        if spared < 0.5 and running:
            running.pop(int(spared * 2 * len(running)))
        return self.kill(running)

    def kill(self, some):
        for m in some:
            m.kill()
        return names(some), lambda: [m.start() for m in some]

    def restart(self, _):
        m = self.target()
        if m is None:
            return None
        m.end()
        return m.name, m.start

    def daemon(self):
        return self.random.choice(("raftd", "raftd", "catalogd", "catalogd", "gossipd", "httpd"))

    def daemon_kill(self, _):
        m, daemon = self.target(), self.daemon()
        if m is None or m.signal(signal.SIGKILL, (daemon,)) == 0:
            return None
        return f"{daemon} of {m.name}", None

    def server_stop(self, _):
        m = self.target()
        if m is None or m.signal(signal.SIGSTOP) == 0:
            return None
        return m.name, lambda: m.signal(signal.SIGCONT)

    def daemon_stop(self, _):
        m, daemon = self.target(), self.daemon()
        if m is None or m.signal(signal.SIGSTOP, (daemon,)) == 0:
            return None
        return f"{daemon} of {m.name}", lambda: m.signal(signal.SIGCONT, (daemon,))

    # ---- the machine ----

    def clock_jump(self, _):
        pick, seconds = self.random.random(), self.random.choice((-3600, -60, -5, 5, 60, 3600))
        some = [m for m in self.lab.machines if m.faked and m.wanted]
        if not some:
            return None
        m = some[int(pick * len(some))]
        m.clock_set(seconds)
        back = self.random.random() < 0.7
        return f"{m.name} {seconds:+d} s", (lambda: m.clock_set(0)) if back else None

    def disk_full(self, _):
        m, left = self.target(), self.random.choice((0, 0, 100 << 10, 4 << 20))
        if m is None:
            return None
        m.disk_fill(left)
        return f"{m.name}, {left} bytes left", m.disk_free

    # ---- Raft ----

    def transfer(self, _):
        leader = self.lab.leader()
        if leader is None:
            return None
        try:
            to = leader.raft("Raft.TransferLeadership", timeout=5)
        except (OSError, RuntimeError) as e:
            return f"{leader.name}: {e}", None
        return f"{leader.name} to {to}", None

    # ---- membership ----

    def memberships(self):
        try:
            while not self.stopping.wait(self.member_random.uniform(4, 12)):
                wish, leads, pick, way = (self.member_random.random() for _ in range(4))
                running = self.lab.running
                spare = [m for m in self.lab.servers if not m.wanted and (m.life == 0 or m.removed)]
                if len(running) > self.lab.voters and (wish < 0.5 or not spare):
                    leader = self.lab.leader()
                    self.remove(leader if leads < 0.3 and leader else running[int(pick * len(running))], way)
                elif spare:
                    self.add(spare[int(pick * len(spare))], way)
        except Exception as e:
            self.failed = e

    def until(self, condition, seconds=15):
        """Whether it came in this time. Nothing is wrong if not: faults go on meanwhile."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.stopping.is_set():
            if condition():
                return True
            self.stopping.wait(0.2)
        return False

    def asked(self, method, args):
        """Whether the leader's raftd said yes (else it may have been done all the same)."""
        leader = self.lab.leader()
        if leader is None:
            return False
        try:
            leader.raft(method, args, timeout=5)
            return True
        except (OSError, RuntimeError):
            return False

    def votes(self, m):
        return self.lab.members().get(m.id, {}).get("Voter", False)

    def add(self, m, way):
        """By its joining alone, or told to Raft besides."""
        m.wipe()
        m.removed = False
        m.start()
        if way < 0.5:
            self.say(f"membership: {m.name} joins")
            done = self.until(lambda: self.votes(m))
        else:
            self.say(f"membership: {m.name} is added")
            done = self.until(lambda: self.asked("Raft.AddVoter", {"ID": m.id, "Address": f"{m.address}:8300"}))
        m.settled = done
        self.say(f"membership: {m.name} {'votes' if done else 'does not vote yet'}")
        self.count("member_added")

    def remove(self, m, way):
        """It leaves, is taken out of Raft, or is told to an agent; then it is killed, and its directory counts for nothing any more."""
        with m.lock:
            if not m.wanted:
                return
        if way < 0.4:
            self.say(f"membership: {m.name} leaves")
            done = http(m, "PUT", "/v1/agent/leave", timeout=15) is not None
        elif way < 0.7:
            self.say(f"membership: {m.name} is removed by an operator")
            others = [o for o in self.lab.running if o is not m]
            done = bool(others) and http(others[0], "DELETE", f"/v1/operator/raft/peer?id={m.id}", timeout=10) is not None
        else:
            self.say(f"membership: {m.name} is removed")
            done = self.until(lambda: self.asked("Raft.RemovePeer", {"ID": m.id}))
        # only who surely counts no more may lose what it has promised
        done = done and self.until(lambda: self.lab.members().get(m.id) is None and self.lab.leader() not in (None, m))
        if not done:
            self.say(f"membership: {m.name} is perhaps not removed")
            return
        m.kill()
        m.removed = True
        self.say(f"membership: {m.name} is gone")
        self.count("member_removed")


def names(machines):
    return ", ".join(m.name for m in machines) or "nobody"
