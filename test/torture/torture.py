"""torture.py - one cluster, one seed: load, faults, and at the end the proof (test/torture/run starts it, in namespaces of its own)

    torture.py BUILD DIRECTORY SEED SECONDS

Three servers begin, up to two more come and go; a client agent stands beside them. What was recorded is in DIRECTORY/history, what was done in
DIRECTORY/nemesis.log, what the agents said in DIRECTORY/*/log. Exit status: 0 nothing is wrong, 1 something is, and was said.
"""
import collections
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time

from lab import Lab, http
from nemesis import Nemesis
from recorder import NODE, Recorder

VOTERS, SPARES, CLIENTS = 3, 2, 1
# Seconds for what has to come in the end: far more than it takes, since machines are slow. With a mistake planted it may never come.
PATIENCE = float(os.environ.get("TORTURE_PATIENCE", "180"))


class Wrong(Exception):
    """The cluster did not do what it has to."""


class Log:
    def __init__(self, path):
        self.begin, self.out, self.lock = time.monotonic(), open(path, "w", buffering=1), threading.Lock()

    def __call__(self, text):
        now = time.time()
        with self.lock:
            self.out.write("%8.3f %s.%03d %s\n" % (time.monotonic() - self.begin, time.strftime("%H:%M:%S", time.gmtime(now)),
                                                  now % 1 * 1000, text))


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise Wrong(f"after {PATIENCE:g} s still not: {what}")
        time.sleep(0.1)


def sanitized(build):
    """Then no clock jumps: libfaketime does not go together with that."""
    with open(os.path.join(build, "libexec/consuld/raftd"), "rb") as f:
        return b"__asan_init" in f.read()


def begin(lab):
    first = lab.machines[: VOTERS] + [m for m in lab.machines if not m.server]
    for m in first:
        m.wipe()
    for m in first:
        m.start()
    wait_for("the servers have a leader", lab.leader)
    node = json.dumps({"Node": NODE, "Address": "10.35.255.1"}).encode()
    wait_for("a node is registered", lambda: http(lab.machines[0], "PUT", "/v1/catalog/register", node))
    for m in first:
        wait_for(f"{m.name} answers", lambda m=m: http(m, "GET", "/v1/kv/?keys") is not None or
                 http(m, "PUT", "/v1/kv/torture-begins", b"1"))
        m.settled = True


def all_keys(machine):
    """What one server has by itself, and nothing else: as text, or None."""
    kv = http(machine, "GET", "/v1/kv/?recurse&stale", timeout=30)
    sessions = http(machine, "GET", "/v1/session/list?stale", timeout=30)
    return None if kv is None or sessions is None else hashlib.sha256(kv + b"\n" + sessions).hexdigest()


def end(lab, recorder, nemesis):
    """After healing: everybody is back, everything is there, and all have the same."""
    leader = wait_for("the servers have a leader again", lab.leader)
    wait_for("a write is accepted again", lambda: http(lab.leader() or leader, "PUT", "/v1/kv/torture-ends", b"1") == b"true")
    voters = lab.running

    def all_vote():
        nemesis.revive()  # one that was told to leave may end only now: it comes back
        return {m.id for m in voters} == {i for i, s in lab.members().items() if s["Voter"]}

    wait_for("all servers vote: " + ", ".join(m.name for m in voters), all_vote)
    if not recorder.final_reads(lab.leader() or leader):
        raise Wrong("not every key could be read at the end")

    def equal():
        found = {m.name: all_keys(m) for m in voters}
        return found if len(set(found.values())) == 1 and None not in found.values() else None

    wait_for("all servers have the same keys and sessions: " + ", ".join(m.name for m in voters), equal)
    return voters


def dumps_equal(lab, voters, say):
    """The whole stores of those who have applied the same entries, byte for byte."""
    for m in lab.machines:
        if m.wanted:
            m.end()
    found = collections.defaultdict(dict)
    for m in voters:
        dump = subprocess.run([lab.dump_program, "-D", os.path.join(m.data, "catalog")], capture_output=True, check=False)
        if dump.returncode != 0:
            raise Wrong(f"{m.name}: no dump: {dump.stderr.decode()[:200]}")
        path = os.path.join(m.directory, "dump")
        with open(path, "wb") as f:
            f.write(dump.stdout)
        lines = dump.stdout.splitlines()
        found[int(lines[1].split()[-1])][m.name] = lines[-1]  # by the applied index: its digest
    for index, stores in found.items():
        say(f"stores at {index}: {', '.join(stores)}")
        if len(set(stores.values())) > 1:
            raise Wrong(f"stores differ at {index}: {', '.join(stores)} (see their dump files)")
    return max(len(stores) for stores in found.values())


# What no agent may say, whatever is done to it: that a process of its own went wrong. (Signal 9 is ours, or consuld's for one that is silent.)
FAULTS = re.compile(r'panic:|runtime error|AddressSanitizer|LeakSanitizer|daemon died.*status="signal (?!9 )')


def faults_in_logs(lab):
    for m in lab.machines:
        if m.life == 0:
            continue
        with open(os.path.join(m.directory, "log"), errors="replace") as f:
            for line in f:
                if FAULTS.search(line):
                    raise Wrong(f"{m.place}: {line.strip()[:300]}")


def judge(check, history):
    """(exit status, what was said, {count: number})"""
    found = subprocess.run([check, history], stdout=subprocess.PIPE, check=False)
    text = found.stdout.decode()
    last = text.splitlines()[-1] if text else ""
    counts = {}
    if last.startswith("# history: "):
        for word in last[len("# history: "):].split(", "):
            name, number = word.rsplit(" ", 1)
            counts[name] = int(number)
    return found.returncode, text, counts


def main():
    build, directory, seed, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    say = Log(os.path.join(directory, "nemesis.log"))
    say(f"seed {seed}, {seconds:g} s")
    lab = Lab(directory, build, VOTERS, SPARES, CLIENTS, say)
    # a clock that jumps among those that begin, and one among those that come
    for m in (lab.machines[seed % VOTERS], lab.machines[VOTERS]):
        m.faked = not sanitized(build)
    history = os.path.join(directory, "history")
    recorder = Recorder(lab, history, seed)
    nemesis = Nemesis(lab, seed, say)
    wrong = []
    report = {"seed": seed, "dumps_equal": 0}
    try:
        begin(lab)
        say("the cluster stands")
        recorder.start()
        nemesis.start()
        time.sleep(seconds)
        nemesis.stop()
        say("healed")
        time.sleep(1)
        recorder.stop()
        voters = end(lab, recorder, nemesis)
        say("all servers have the same")
        report["dumps_equal"] = dumps_equal(lab, voters, say)
    except Wrong as e:
        wrong.append(str(e))
    finally:
        recorder.stopping.set()
        recorder.close()
        try:
            faults_in_logs(lab)
        except Wrong as e:
            wrong.append(str(e))
    status, text, counts = judge(os.environ["TORTURE_CHECK"], history)
    if status != 0 or not counts:
        wrong.append("the history is not what was promised:\n" + text[:6000])
    report.update(counts)
    report["faults"] = nemesis.counts
    report["ended"] = {f"{op} {how}": n for (op, how), n in sorted(recorder.counts.items())}
    with open(os.path.join(directory, "report.json"), "w") as f:
        json.dump(report, f)
    with open(os.path.join(directory, "errors"), "w") as f:
        for error, count in sorted(recorder.errors.items(), key=lambda e: -e[1]):
            f.write(f"{count:8d} {error}\n")
    for text in wrong:
        say(f"WRONG: {text}")
        print(f"seed {seed}: {text}", flush=True)
    lab.end(keep=bool(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
