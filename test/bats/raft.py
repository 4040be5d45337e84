#!/usr/bin/env python3
"""One request to a daemon of the suite over its socket: raft.py SOCKET METHOD [JSON]. Prints the answer as JSON; an error to stderr, status 1."""
import json
import os
import socket
import struct
import sys

HELLO, REQUEST, REPLY, DATA, WINDOW = 1, 2, 3, 4, 6


def pack(v):
    if v is None:
        return b"\xc0"
    if isinstance(v, bool):
        return b"\xc3" if v else b"\xc2"
    if isinstance(v, int):
        return b"\xcf" + struct.pack(">Q", v)
    if isinstance(v, float):
        return b"\xcb" + struct.pack(">d", v)
    if isinstance(v, str):
        b = v.encode()
        return b"\xdb" + struct.pack(">I", len(b)) + b
    if isinstance(v, list):
        return b"\xdd" + struct.pack(">I", len(v)) + b"".join(map(pack, v))
    return b"\xdf" + struct.pack(">I", len(v)) + b"".join(pack(k) + pack(x) for k, x in v.items())


def unpack(b, at=0):
    """(value, place behind it)"""
    t = b[at]
    at += 1
    if t < 0x80:
        return t, at
    if t < 0x90:
        return unpack_map(b, at, t & 15)
    if t < 0xA0:
        return unpack_list(b, at, t & 15)
    if t < 0xC0:
        n = t & 31
        return b[at : at + n].decode("latin1"), at + n
    if t in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[t], at
    fixed = {0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
    if t in fixed:
        n = struct.calcsize(fixed[t])
        return struct.unpack(fixed[t], b[at : at + n])[0], at + n
    size = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I", 0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I", 0xC4: ">B", 0xC5: ">H", 0xC6: ">I"}[t]
    n = struct.unpack(size, b[at : at + struct.calcsize(size)])[0]
    at += struct.calcsize(size)
    if t in (0xDC, 0xDD):
        return unpack_list(b, at, n)
    if t in (0xDE, 0xDF):
        return unpack_map(b, at, n)
    return b[at : at + n].decode("latin1"), at + n


def unpack_list(b, at, n):
    out = []
    for _ in range(n):
        v, at = unpack(b, at)
        out.append(v)
    return out, at


def unpack_map(b, at, n):
    out = {}
    for _ in range(n):
        k, at = unpack(b, at)
        out[k], at = unpack(b, at)
    return out, at


def frame(kind, stream, payload):
    return struct.pack(">IBBHI", len(payload), kind, 0, 0, stream) + payload


def read(s, n):
    out = b""
    while len(out) < n:
        more = s.recv(n - len(out))
        if not more:
            raise SystemExit("the daemon has ended the connection")
        out += more
    return out


def call(path, method, args, timeout=20):
    """The value, or raises RuntimeError; of a stream its first element."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    # a socket's name is short: from its directory
    directory = os.open(os.path.dirname(path), os.O_PATH)
    try:
        s.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
    finally:
        os.close(directory)
    s.sendall(frame(HELLO, 0, b"consuld 1 test") + frame(REQUEST, 1, pack(method) + pack(args)))
    s.sendall(frame(WINDOW, 1, struct.pack(">I", 1 << 20)))
    while True:
        size, kind, _, _, _ = struct.unpack(">IBBHI", read(s, 12))
        payload = read(s, size)
        if kind == DATA:
            return unpack(payload)[0]
        if kind == REPLY:
            error, at = unpack(payload)
            if error:
                raise RuntimeError(error)
            _, at = unpack(payload, at)
            return unpack(payload, at)[0]


if __name__ == "__main__":
    try:
        print(json.dumps(call(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]) if len(sys.argv) > 3 else {})))
    except (RuntimeError, OSError) as e:
        print(e, file=sys.stderr)
        sys.exit(1)
