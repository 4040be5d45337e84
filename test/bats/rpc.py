#!/usr/bin/env python3
"""One request as another node sends it: rpc.py ADDRESS METHOD [JSON]. Prints the answer as JSON; an error to stderr, status 1."""
import json
import socket
import sys

from raft import pack, unpack

address, method = sys.argv[1:3]
args = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
s = socket.create_connection((address, 8300), timeout=60)
s.sendall(b"\0" + pack({"ServiceMethod": method, "Seq": 1}) + pack(args))
got = b""
while True:
    part = s.recv(65536)
    if not part:
        sys.exit("connection closed")
    got += part
    try:
        head, at = unpack(got)
        if head["Error"]:
            sys.exit(head["Error"])
        body, _ = unpack(got, at)
        break
    except (IndexError, KeyError, TypeError):
        continue  # not whole yet
json.dump(body, sys.stdout)
print()
