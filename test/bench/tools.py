"""What loads the suite, and what it is compared with: our generators, wrk, dnsperf; nginx and NSD.

A server that is not installed makes its reference a dash. wrk and dnsperf ask where they are installed; else, and in the short form, our own
generators do, which take much less of the cores they share with what is measured.
"""
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import time

from suite import BUILD, PATIENCE_S, SECONDS, SHORT, TICKS, Failed, wait_for


def client(name, *args, **options):
    """Runs one of our generators to its end; its figures."""
    done = subprocess.run([os.path.join(BUILD, "bench", name), *map(str, args)], capture_output=True, text=True, timeout=1200, **options)
    if done.returncode != 0:
        raise Failed(f"{name}: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout)


def load(address, method, path, *options, port=8500):
    """load.c, nothing may be refused."""
    figures = client("load", *options, address, port, method, path)
    if figures["refused"]:
        raise Failed(f"{figures['refused']} of {figures['answered']} refused: {figures['refusal']}")
    return figures


OWN = SHORT or os.environ.get("BENCH_OWN") == "1"
HTTP_GENERATOR = "wrk" if not OWN and shutil.which("wrk") else "load"
DNS_GENERATOR = "dnsperf" if not OWN and shutil.which("dnsperf") else "dnsload"


def load_rate(address, path, port=8500):
    """GETs over 64 connections, %u in the path is the number of the request: requests/s."""
    return load(address, "GET", path, "-c", 64, "-t", SECONDS, port=port)["rate"]


def http_load(address, path, port=8500):
    """The same by wrk, of one path."""
    if HTTP_GENERATOR == "load":
        return load_rate(address, path, port)
    out = subprocess.run(["wrk", "-t1", "-c64", f"-d{SECONDS}s", f"http://{address}:{port}{path}"],
                         capture_output=True, text=True, timeout=SECONDS + PATIENCE_S).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    if "Non-2xx" in out or "Socket errors" in out or rate is None:
        raise Failed(f"wrk: {out.strip()[-300:]}")
    return float(rate.group(1))


def dns_load(address, port, queries):
    """Questions/s over UDP from a file of them."""
    if DNS_GENERATOR == "dnsload":
        figures = client("dnsload", address, port, queries, SECONDS)
        if figures["bad"] or not figures["answered"]:
            raise Failed(f"DNS: {figures}")
        return figures["rate"]
    out = subprocess.run(["dnsperf", "-s", address, "-p", str(port), "-d", queries, "-l", str(SECONDS), "-c", "4", "-q", "400"],
                         capture_output=True, text=True, timeout=SECONDS + PATIENCE_S).stdout
    rate = re.search(r"Queries per second:\s+([\d.]+)", out)
    if rate is None or re.search(r"Response codes:\s+NOERROR \d+ \(100.00%\)", out) is None:
        raise Failed(f"dnsperf: {out.strip()[-300:]}")
    return float(rate.group(1))


def machine_cpu():
    """CPU seconds so far of the whole machine: all that was not idle, and the part of it in soft interrupts, which no process is charged."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq, steal = (int(ticks) / TICKS for ticks in f.readline().split()[1:9])
    return user + nice + system + irq + softirq + steal, softirq


def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Shares:
    """Cores taken over a span by the generator, each daemon, soft interrupts (loopback's packets), and whatever else runs on the machine:
    with Shares(suite, "wrk") as s: ...; s.text"""

    def __init__(self, suite, generator):
        self.suite, self.generator, self.text = suite, generator, ""

    def __enter__(self):
        self.daemons, self.children, self.machine, self.start = self.suite.cpu(), children_cpu(), machine_cpu(), time.monotonic()
        return self

    def __exit__(self, kind, value, trace):
        seconds = time.monotonic() - self.start
        busy, softirq = (after - before for after, before in zip(machine_cpu(), self.machine))
        generator = children_cpu() - self.children
        daemons = {name: used - self.daemons.get(name, 0) for name, used in self.suite.cpu().items()}
        shares = [(self.generator, generator), *sorted(daemons.items(), key=lambda one: -one[1]), ("softirq", softirq),
                  ("others", busy - softirq - generator - sum(daemons.values()))]
        self.text = ", ".join(f"{name} {used / seconds:.2f}" for name, used in shares if used / seconds >= 0.02)


class Nginx:
    """One worker that answers a constant of the given size. Not installed: it is never there."""

    PORT = 8080

    def __init__(self, directory, address, body_bytes):
        self.address, self.process = address, None
        self.here = shutil.which("nginx") is not None and not SHORT
        if not self.here:
            return
        os.makedirs(directory, exist_ok=True)
        conf = os.path.join(directory, "nginx.conf")
        with open(conf, "w") as f:
            f.write(f"""daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000000;
client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
server {{ listen {address}:{self.PORT}; location / {{ default_type application/json; return 200 '{"x" * body_bytes}'; }} }} }}
""")
        self.process = subprocess.Popen(["nginx", "-e", f"{directory}/error", "-c", conf], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._answers, "nginx", 20)

    def _answers(self):
        socket.create_connection((self.address, self.PORT), timeout=1).close()
        return True

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait()


class Nsd:
    """One server for the zone consul, from lines of records. Not installed: it is never there."""

    PORT = 5300

    def __init__(self, directory, address, records):
        self.address, self.process = address, None
        self.here = shutil.which("nsd") is not None and not SHORT
        if not self.here:
            return
        os.makedirs(directory, exist_ok=True)
        # no NS records: NSD would add them to each answer, the suite has none; everything else of an answer is the same
        with open(os.path.join(directory, "zone"), "w") as f:
            f.write("$ORIGIN consul.\n@ 0 IN SOA ns hostmaster 1 3600 600 86400 0\nns 0 IN A 127.0.0.1\n")
            f.writelines(record + "\n" for record in records)
        conf = os.path.join(directory, "nsd.conf")
        with open(conf, "w") as f:
            f.write(f"""server:
  ip-address: {address}@{self.PORT}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{directory}"
  zonelistfile: "{directory}/zone.list"
  pidfile: "{directory}/pid"
  xfrdfile: "{directory}/xfrd.state"
  xfrdir: "{directory}"
  database: ""
  rrl-ratelimit: 0
  minimal-responses: no
  logfile: "{directory}/log"
remote-control:
  control-enable: no
zone:
  name: consul
  zonefile: zone
""")
        self.process = subprocess.Popen(["nsd", "-d", "-c", conf], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._answers, "NSD", 60)

    def _answers(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.1)
            s.connect((self.address, self.PORT))
            s.send(b"\0\7\1\0\0\1\0\0\0\0\0\0\2ns\6consul\0\0\1\0\1")
            return s.recv(512)[3] & 15 == 0

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
