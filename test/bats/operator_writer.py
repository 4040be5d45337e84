#!/usr/bin/env python3
"""Writes numbered keys, each by the next of some servers: operator_writer.py FILE URL...; those that were answered true are noted in FILE.
operator_writer.py --check FILE URL: all that is noted is there, with its value."""
import base64
import json
import signal
import sys
import urllib.error
import urllib.request


def put(url, number):
    request = urllib.request.Request(f"{url}/v1/kv/w/{number}", data=str(number).encode(), method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read().strip() == b"true"
    except OSError:
        return False


def check(path, url):
    with urllib.request.urlopen(f"{url}/v1/kv/w/?recurse", timeout=30) as answer:
        there = {e["Key"]: base64.b64decode(e["Value"]).decode() for e in json.load(answer)}
    acked = [line.strip() for line in open(path)]
    lost = [n for n in acked if there.get(f"w/{n}") != n]
    print(f"{len(acked)} writes acknowledged, {len(lost)} lost")
    return 1 if lost or not acked else 0


def main():
    if sys.argv[1] == "--check":
        return check(sys.argv[2], sys.argv[3])
    running = [True]
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    urls = sys.argv[2:]
    with open(sys.argv[1], "a+") as out:
        out.seek(0)
        number = max([int(line) for line in out] + [0])
        number += 1000  # what was under way at the end of a former run may still come
        while running:
            number += 1
            if put(urls[number % len(urls)], number):
                out.write(f"{number}\n")
                out.flush()
    print(f"up to {number}")
    return 0


sys.exit(main())
