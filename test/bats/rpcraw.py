#!/usr/bin/env python3
"""rpcraw.py ADDRESS ERRORS_FILE: what a server answers on its port between nodes to bytes made by hand. Prints a line for each finding and exits 1 if one is wrong."""
import socket
import struct
import sys

address, errors_file = sys.argv[1], sys.argv[2]
wrong = 0


def check(name, ok, seen=""):
    global wrong
    if not ok:
        wrong += 1
    print("%s %s %s" % ("ok" if ok else "WRONG", name, seen if not ok else ""))


def dial(first=None):
    s = socket.create_connection((address, 8300), timeout=20)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if first is not None:
        s.sendall(bytes([first]))
    return s


def closed(s):
    """The other side ends the connection without a byte."""
    try:
        return s.recv(1) == b""
    except ConnectionResetError:
        return True


def exactly(s, n):
    out = b""
    while len(out) < n:
        got = s.recv(n - len(out))
        if not got:
            raise EOFError(out)
        out += got
    return out


def frame(kind, flags, stream, length, payload=b""):
    return struct.pack(">BBHII", 0, kind, flags, stream, length) + payload


class Session:
    """yamux by hand: frames of one stream at a time."""

    def __init__(self):
        self.s = dial(4)

    def open(self, stream):
        self.s.sendall(frame(1, 1, stream, 0))

    def send(self, stream, data):
        self.s.sendall(frame(0, 0, stream, len(data), data))

    def answer(self, stream, size):
        """size bytes of data on the stream, or what came before its end."""
        data = b""
        while len(data) < size:
            _, kind, flags, number, length = struct.unpack(">BBHII", exactly(self.s, 12))
            if kind == 0:
                part = exactly(self.s, length)
                data += part if number == stream else b""
            if number == stream and flags & 12:
                break
        return data

    def ended(self, stream):
        while True:
            _, kind, flags, number, length = struct.unpack(">BBHII", exactly(self.s, 12))
            if kind == 0:
                exactly(self.s, length)
            if number == stream and flags & 4:
                return True


PING = bytes.fromhex("82a353657101ad536572766963654d6574686f64ab5374617475732e50696e67") + b"\x80"
PONG = bytes.fromhex("83a54572726f72a0a353657101ad536572766963654d6574686f64ab5374617475732e50696e67") + b"\x80"

# kinds of connections that are not served
for first in (1, 2, 3, 6, 7, 8, 9, 10, 22, 71, 255):
    check("first byte %d is closed" % first, closed(dial(first)))

# an archive that is asked for, and one that is sent: the reason comes, whatever else is on the way to the server
SNAPSHOT = "84aa416c6c6f775374616c65c2aa4461746163656e746572a3646331a24f70%02xa5546f6b656ea0"
for op, archive in ((0, b""), (1, b"x" * 3000000)):
    s = dial(5)
    s.sendall(bytes.fromhex(SNAPSHOT % op) + archive)
    s.shutdown(socket.SHUT_WR)
    got = b""
    while part := s.recv(4096):
        got += part
    check("an archive is refused, op %d" % op, got[:7] == b"\x81\xa5Error"[:7] and b"are not served by this version" in got, got)

# one stream of requests
s = dial(0)
for _ in range(3):
    s.sendall(PING)
    check("a call on a single stream", exactly(s, len(PONG)) == PONG)
s.sendall(PING + PING)
check("two calls at once", exactly(s, 2 * len(PONG)) == PONG + PONG)
for byte in PING:
    s.sendall(bytes([byte]))
check("a call byte by byte", exactly(s, len(PONG)) == PONG)
s.sendall(b"\xc1")
check("no msgpack: closed", closed(s))
s = dial(0)
s.sendall(b"\x80\xdf\xff\xff\xff\xff")
check("four billion pairs: closed", closed(s))
s = dial(0)
s.sendall(b"\x80\xdb\x7f\xff\xff\xff")
check("two gigabytes: closed", closed(s))

# what the reference answers to these
session = Session()
opened, number = {}, 1
for line in open(errors_file):
    if line.startswith("#"):
        continue
    _, stream, header, body, answer, answer_body = line.split()
    if "c403616263" in body or body.startswith("92"):
        continue  # bytes as bin8, which we take; a struct as an array, which nobody sends
    # the first one's leader and values are those of another cluster
    if stream not in opened:
        opened[stream] = number
        session.open(number)
        number += 2
    session.send(opened[stream], bytes.fromhex(header + body))
    want = bytes.fromhex(answer)
    got = session.answer(opened[stream], len(want))
    check("header " + header[-24:], got[: len(want)] == want, got)
    # the rest of the answer belongs to it: a new stream for the next
    del opened[stream]

session = Session()
session.open(1)
session.send(1, bytes.fromhex("82a353657104ad536572766963654d6574686f64a84b56532e4e6f7065") + b"\x80")
check("the stream of an unknown method is closed", session.ended(1))
session.open(3)
session.send(3, PING)
check("the others go on", session.answer(3, len(PONG)) == PONG)
session.s.sendall(frame(2, 1, 0, 4711))
check("a ping is answered", exactly(session.s, 12) == frame(2, 2, 0, 4711))
session.s.sendall(frame(1, 1, 3, 0))
check("opened twice: go away", exactly(session.s, 12) == frame(3, 0, 0, 1) and closed(session.s))

# only what belongs to the language between nodes
for method in (b"Subscribe", b"Store.Snapshot", b"Catalogd.Page", b"Daemon.Stop"):
    session = Session()
    session.open(1)
    session.send(1, b"\x82\xa3Seq\x01\xadServiceMethod" + bytes([0xA0 + len(method)]) + method + b"\x80")
    got = session.answer(1, 60)
    check(method.decode() + " is not served here", b"rpc: can't find" in got or b"ill-formed" in got, got)

# more connections than one client may have
many = [dial() for _ in range(100)]
check("the 101st connection is closed", closed(dial(4)))
for c in many:
    c.close()
sys.exit(wrong != 0)
