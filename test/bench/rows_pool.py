"""Rows about membership: simulated pools of thousands of members (the real cores in virtual time), and what one gossipd knows of so many."""
import json
import os
import socket
import struct
import subprocess
import uuid

from report import DASH
from suite import BUILD, NET, SHORT, Failed, Suite, wait_for

SIMULATOR = os.path.join(BUILD, "test/gossipd_pool_sim")


def simulate(members, loss, *options):
    done = subprocess.run(["nice", SIMULATOR, "measure", str(members), str(loss), *options], capture_output=True, text=True, timeout=3000)
    if done.returncode != 0:
        raise Failed(f"{SIMULATOR}: {(done.stdout + done.stderr).strip()[-300:]}")
    figures = json.loads(done.stdout)
    if figures["missed"] or not figures["deaths"]:
        raise Failed(f"{figures['missed']} dead members stay alive for somebody")
    return figures


def pools(bench):
    """Of 5,000 members: some 6 GB of memory and two minutes for each loss."""
    for members in map(int, os.environ.get("BENCH_POOLS", "10" if SHORT else "10,100,1000,5000").split(",")):
        for loss in (0, 20):
            figures = simulate(members, loss)
            bench.report.row(f"{members:,} members, {loss} % loss: a dead one is known to the first, to all", "",
                             f"{figures['first_median_s']:.1f} s, {figures['all_median_s']:.1f} s (worst {figures['all_max_s']:.1f} s), "
                             f"{figures['wronged']} wrongly in {figures['member_hours']:.0f} h")
            if loss == 0:
                bench.report.row(f"{members:,} idle members, each sends", "",
                                 f"{figures['packet_bytes_per_s']:.0f} B/s in {figures['packets_per_s']:.1f} packets/s, "
                                 f"{figures['stream_bytes_per_s']:,.0f} B/s of states")
    # streams get through any loss: without them one sees what Lifeguard's own rules are worth
    members, loss = (10 if SHORT else 100), 30
    ours, plain = simulate(members, loss, "udp"), simulate(members, loss, "udp", "plain")
    bench.report.row(f"{members} members, {loss} % loss, no probes by stream: taken for dead wrongly", "",
                     f"{ours['wronged']} in {ours['member_hours']:.0f} member-hours", f"SWIM without Lifeguard {plain['wronged']}",
                     f"{ours['wronged'] / plain['wronged']:.2f}" if plain["wronged"] else DASH)


# ---- one gossipd that knows many ----

def pack(value):
    """As msgpack."""
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return b"\xce" + struct.pack(">I", value)
    if isinstance(value, bytes):
        return b"\xda" + struct.pack(">H", len(value)) + value
    if isinstance(value, dict):
        return b"\xdf" + struct.pack(">I", len(value)) + b"".join(pack(key.encode()) + pack(of) for key, of in value.items())
    raise TypeError(value)


def client_of(number, network):
    """A client's entry in a push/pull, its tags as long as real ones."""
    tags = {"build": b"1.21.4:1234abcd", "dc": b"dc1", "id": str(uuid.UUID(int=number + 1)).encode(), "role": b"node", "segment": b"",
            "vsn": b"2", "vsn_max": b"3", "vsn_min": b"2"}
    address = socket.inet_aton(f"{network}.{100 + number // 250}.{number % 250 + 2}")
    return pack({"Addr": address, "Incarnation": 1, "Meta": b"\xff" + pack(tags), "Name": f"client-{number}".encode(), "Port": 8301,
                 "State": 0, "Vsn": bytes([1, 5, 2, 2, 5, 4])})


def known_members(bench):
    """An agent alone, told of so many by one exchange of states; what it was told it still has to pass on, as after a real join."""
    count, network = bench.size("MEMBERS", 5000, 200), NET.rpartition(".")[0]
    suite = Suite(bench.path("known"), f"{NET}.7", f"-data-dir={bench.path('known')}/data")
    bench.own(suite)
    suite.start().wait(lambda: len(json.loads(suite.get("/v1/agent/members"))) == 1, "the agent")
    suite.settled_pss_kib()
    before = suite.memory()["gossipd"][1]
    user = b"\0" + pack({"LTime": 1, "StatusLTimes": {}, "LeftMembers": b"", "EventLTime": 1, "Events": b"", "QueryLTime": 1})
    state = (b"\6" + pack({"Nodes": count, "UserStateLen": len(user), "Join": False}) +
             b"".join(client_of(number, network) for number in range(count)) + user)
    with socket.create_connection((suite.address, 8301), timeout=30) as s:
        s.sendall(state)
        while s.recv(65536):
            pass
    wait_for(lambda: len(json.loads(suite.get("/v1/agent/members"))) == count + 1, "all members", pause=0.2)
    after = suite.memory()["gossipd"][1]
    bench.report.row(f"a gossipd that has just heard of {count:,} members (PSS)", "",
                     f"{after * 1024 / 1e6:.1f} MB, {(after - before) * 1024 / count:,.0f} bytes each")
    suite.kill()
