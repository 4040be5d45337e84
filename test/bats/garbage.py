#!/usr/bin/env python3
"""Throws at the gossip ports of a pool what no member would send: garbage.py ADDRESS...

Everything is drawn from one seed. Nothing of it is a message that a member could have meant: a pool that believes any of it is wrong.
"""
import random
import socket
import struct
import sys

addresses, rng = sys.argv[1:], random.Random(8301)
PATIENCE_S = 30
COMPOUND, COMPRESS, ENCRYPT, CRC, PUSH_PULL, LABEL = 7, 9, 10, 12, 6, 244


def ports():
    """LAN of all, and WAN of the first, which is a server."""
    return [(a, 8301) for a in addresses] + [(addresses[0], 8302)]


def noise(most):
    return rng.randbytes(rng.randrange(most))


def mp_str(text):
    return bytes([0xA0 | len(text)]) + text


def pull(nodes, user_state):
    """The head of a push/pull that announces so much, and nothing of it."""
    return (bytes([PUSH_PULL, 0x83]) + mp_str(b"Join") + b"\xc3" + mp_str(b"Nodes") + b"\xcf" + struct.pack(">Q", nodes) +
            mp_str(b"UserStateLen") + b"\xcf" + struct.pack(">Q", user_state))


def compressed(data):
    return bytes([COMPRESS, 0x82]) + mp_str(b"Algo") + b"\x00" + mp_str(b"Buf") + b"\xc5" + struct.pack(">H", len(data)) + data


def nested(depth):
    message = b"\x00"
    for _ in range(depth):
        message = bytes([COMPOUND, 1]) + struct.pack(">H", len(message)) + message
    return message


def packets():
    yield b""
    yield from (noise(65000) for _ in range(300))
    yield from (noise(64) for _ in range(1000))
    yield from (bytes([kind]) + noise(300) for kind in range(256) for _ in range(4))
    yield from (bytes([kind, 0x80 | rng.randrange(16)]) + noise(300) for kind in range(14) for _ in range(40))
    yield bytes([COMPOUND, 255])
    yield bytes([COMPOUND, 255]) + b"\xff" * 510 + b"\x00" * 1000
    yield nested(5000)
    yield from (compressed(noise(1200)) for _ in range(100))
    yield compressed(nested(100))
    yield from (bytes([CRC]) + noise(200) for _ in range(50))
    yield from (bytes([LABEL, rng.randrange(256)]) + noise(200) for _ in range(50))
    yield from (bytes([version]) + rng.randbytes(12 + 16 + rng.randrange(64)) for version in (0, 1) for _ in range(200))


def streams():
    yield b""
    yield from (noise(100000) for _ in range(30))
    yield from (bytes([kind]) + noise(1000) for kind in range(256))
    for count in (0, 1, 5000, 1 << 31, 1 << 63, (1 << 64) - 1):
        yield pull(count, 0) + noise(5000)
        yield pull(0, count) + noise(5000)
    for length in (0, 1, 28, 29, 1 << 20, 0xFFFFFFFF):
        yield bytes([ENCRYPT]) + struct.pack(">I", length) + noise(2000)
    yield from (compressed(noise(2000)) for _ in range(20))
    yield bytes([COMPRESS]) * 1000


def stream(to, data, half_close):
    """Whatever the other side does is right, but for keeping us."""
    with socket.create_connection(to, timeout=PATIENCE_S) as s:
        try:
            s.sendall(data)
            if half_close:
                s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
        except ConnectionError:
            pass


def main():
    held = [socket.create_connection(rng.choice(ports()), timeout=PATIENCE_S) for _ in range(60)]  # and never say a word
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number, packet in enumerate(packets()):
        udp.sendto(packet, ports()[number % len(ports())])
    for number, data in enumerate(streams()):
        stream(ports()[number % len(ports())], data, True)
    for s in held[:20]:
        try:
            s.sendall(pull(5, 5)[:10])
        except ConnectionError:
            pass
    for s in held:
        s.close()


main()
