"""Rows over DNS, beside NSD with the same records."""
import random

from report import median
from suite import RUNS, SHORT, Failed
from tools import DNS_GENERATOR, Nsd, Shares, client, dns_load, load

BIG_FIRST = 1 << 20  # the numbers of the large service's instances begin here: addresses of their own
INSTANCE = ('{"Node":"node-%r","Address":"10.255.0.1","SkipNodeUpdate":true,'
            '"Service":{"ID":"NAME-%u","Service":"NAME","Address":"%a","Port":80}}')


def register(suite, name, instances, count, first=0):
    """count instances, numbered from first on, of services called name (%g: the number of the service, of so many instances each).
    The generator's figures."""
    return load(suite.address, "PUT", "/v1/catalog/register", "-c", min(64, count), "-p", 8, "-n", count, "-f", first, "-d", instances,
                "-b", INSTANCE.replace("NAME", name))


def address(number):
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def records(name, number):
    """What NSD has for one instance."""
    target = "%02x%02x%02x%02x.addr.dc1" % tuple(int(part) for part in address(number).split("."))
    return [f"{name}.service 0 IN A {address(number)}", f"{name}.service 0 IN SRV 1 1 80 {target}", f"{target} 0 IN A {address(number)}"]


def beside_nsd(bench, work, kind, names, zone, goal):
    """names are asked in a random order, the same for both."""
    queries = bench.path(f"queries-{kind}")
    order = random.Random(1)
    with open(queries, "w") as f:
        f.writelines(f"{name}.service.consul {kind}\n" for name in (order.choice(names) for _ in range(1 if len(names) == 1 else 5 * len(names))))
    nsd = Nsd(bench.path("nsd"), bench.nsd_address, zone)
    pairs, shares = [], None
    try:
        for _ in range(RUNS):
            reference = dns_load(nsd.address, nsd.PORT, queries) if nsd.here else None
            with Shares(bench.suite, DNS_GENERATOR) as shares:
                pairs.append((reference, dns_load(bench.suite.address, 8600, queries)))
    finally:
        nsd.stop()
    bench.report.pairs(work, goal, pairs, "NSD {:,.0f}/s", "{:,.0f}/s", shares.text)


def one_name(bench, kind):
    bench.need("one name", lambda suite: register(suite, "dnsone", 1, 1, 1))
    beside_nsd(bench, f"DNS {kind} over UDP, one name", kind, ["dnsone"], records("dnsone", 1), ">= 1.1")


def many_names(bench, kind):
    names = bench.size("NAMES", 10000, 50)
    bench.need("names", lambda suite: register(suite, "name%g", 3, 3 * names))
    zone = [record for i in range(3 * names) for record in records(f"name{i // 3}", i)]
    beside_nsd(bench, f"DNS {kind} over UDP, {names:,} names of 3 instances", kind, [f"name{i}" for i in range(names)], zone, ">= 1.1")


def one_name_a(bench):
    one_name(bench, "A")


def one_name_srv(bench):
    one_name(bench, "SRV")


def many_names_a(bench):
    many_names(bench, "A")


def many_names_srv(bench):
    many_names(bench, "SRV")


def big_service(bench, transport, kind):
    """Answers of a service that is far larger than a message: asked again and again, and after a change."""
    suite, size, count = bench.suite, bench.size("INSTANCES", 5000, 100), 20 if SHORT else 300
    bench.need("big service", lambda one: register(one, "big", 1, size, BIG_FIRST))
    queries = bench.path("queries-big")
    with open(queries, "w") as f:
        f.write(f"big.service.consul {kind}\n")

    def ask(times):
        figures = client("dnsask", transport, suite.address, 8600, queries, times)
        if figures["errors"] or figures["answers_min"] == 0:
            raise Failed(f"DNS: {figures}")
        return figures

    changed = []
    for i in range(RUNS):
        register(suite, "big", 1, 1, BIG_FIRST + size + i)
        changed.append(ask(1)["median_us"] / 1000)
    figures = ask(count)
    bench.report.row(f"DNS {kind} over {transport.upper()}, a service of {size:,} instances", "<= 1 ms",
                     f"{figures['median_us'] / 1000:.2f} ms, {figures['answers_min']:,} records; {median(changed):.2f} ms after a change")


def big_service_rows(bench):
    for transport in ("tcp", "udp"):
        for kind in ("A", "SRV"):
            big_service(bench, transport, kind)
