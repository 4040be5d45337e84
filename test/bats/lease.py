#!/usr/bin/env python3
"""Stands in for a catalogd that raftd tells of its lease.

    lease.py SOCKET          is told of it, prints LeaseUntil, and is gone without having taken note
    lease.py SOCKET stay     takes note of all that it is told; prints "told" at first, ends when the connection does
"""
import os
import socket
import struct
import sys

from raft import DATA, HELLO, REQUEST, WINDOW, frame, pack, read, unpack

s = socket.socket(socket.AF_UNIX)
s.settimeout(60)
directory = os.open(os.path.dirname(sys.argv[1]), os.O_PATH)
s.connect(f"/proc/self/fd/{directory}/{os.path.basename(sys.argv[1])}")
s.sendall(frame(HELLO, 0, b"consuld 1 catalogd") + frame(REQUEST, 1, pack("Raft.Status") + pack({})))
s.sendall(frame(WINDOW, 1, struct.pack(">I", 1 << 20)))
first = True
while True:
    size, kind, _, _, _ = struct.unpack(">IBBHI", read(s, 12))
    payload = read(s, size)
    if kind != DATA:
        continue
    if len(sys.argv) == 2:
        print(unpack(payload)[0]["LeaseUntil"])
        break
    s.sendall(frame(WINDOW, 1, struct.pack(">I", size)))
    if first:
        print("told", flush=True)
        first = False
