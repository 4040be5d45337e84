#!/usr/bin/env python3
"""Writes keys over several keep-alive connections until told to stop, and remembers what was acknowledged.

    writer.py ADDRESS FILE [PREFIX]     runs until SIGTERM; FILE gets one acknowledged key a line
    writer.py --check ADDRESS FILE [PREFIX]

Every key is new and written with cas=0, so an answer `false` means that the write was applied twice. An error answer or a lost
connection leaves the key's outcome open; the writer goes on with the next key. The check fails if an acknowledged key is gone.
"""
import http.client
import json
import signal
import sys
import threading
import time

THREADS = 4


def run(address, path, prefix):
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    out = open(path, "w", buffering=1)
    counts = {"acked": 0, "errors": 0, "twice": 0, "gap": 0.0}
    lock = threading.Lock()

    def worker(number):
        n = 0
        connection = None
        last = time.monotonic()
        while not stop.is_set():
            key = f"{prefix}/{number}/{n}"
            n += 1
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(address, 8500, timeout=15)
                connection.request("PUT", f"/v1/kv/{key}?cas=0", body=key)
                reply = connection.getresponse()
                body = reply.read()
                with lock:
                    if reply.status == 200 and body == b"true":
                        counts["acked"] += 1
                        counts["gap"] = max(counts["gap"], time.monotonic() - last)
                        last = time.monotonic()
                        out.write(key + "\n")
                    elif reply.status == 200:
                        counts["twice"] += 1
                        print(f"applied twice: {key}", flush=True)
                    else:
                        counts["errors"] += 1
            except (OSError, http.client.HTTPException):
                connection = None
                with lock:
                    counts["errors"] += 1
                time.sleep(0.005)

    threads = [threading.Thread(target=worker, args=(i,)) for i in range(THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(json.dumps(counts), flush=True)
    return counts["twice"] != 0 or counts["acked"] == 0


def check(address, path, prefix):
    connection = http.client.HTTPConnection(address, 8500, timeout=30)
    connection.request("GET", f"/v1/kv/{prefix}?keys")
    stored = set(json.loads(connection.getresponse().read()))
    acked = set(open(path).read().split())
    lost = acked - stored
    print(f"acknowledged {len(acked)}, stored {len(stored)}, lost {len(lost)}: {sorted(lost)[:5]}")
    return 1 if lost or not acked else 0


work, arguments = (check, sys.argv[2:]) if sys.argv[1] == "--check" else (run, sys.argv[1:])
sys.exit(work(arguments[0], arguments[1], arguments[2] if len(arguments) > 2 else "load"))
