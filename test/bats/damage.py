#!/usr/bin/env python3
"""Damages files of a stopped agent the way a disk or a crash does.

    damage.py flip FILE OFFSET          inverts one byte
    damage.py flip-pages FILE PAGE:AT   inverts the byte at that place of each page of 4 KiB, from that page on
    damage.py flip-all FILE TEXT        inverts the first byte of every place where TEXT stands; fails if there is none
    damage.py tear SEGMENT TEXT         the batch of the log whose entry holds TEXT looks as if the machine had stopped while it was written:
                                        its first block is there, the others are zero, nothing stands behind
    damage.py older SEGMENT TEXT        prints the offset of the block that holds TEXT; fails if no other batch follows it

The log's format is raftd-wal(5): blocks of 4 KiB with a head of crc 4, salt 4, batch 8, place 4, blocks 4, used 2, zero 2.
"""
import struct
import sys

BLOCK = 4096
HEAD = struct.Struct(">IIQIIHH")


def blocks(data):
    """(offset, batch, place, blocks) of every block that is used, without the segment's head."""
    for offset in range(BLOCK, len(data), BLOCK):
        block = data[offset:offset + BLOCK]
        if any(block):
            _, _, batch, place, count, _, _ = HEAD.unpack_from(block)
            yield offset, batch, place, count


def write_at(path, offset, data):
    with open(path, "r+b") as f:
        f.seek(offset)
        f.write(data)


def flip(path, offset):
    with open(path, "rb") as f:
        f.seek(offset)
        byte = f.read(1)[0]
    write_at(path, offset, bytes([byte ^ 0xFF]))


def block_of(data, text):
    """The block with the first place where text stands."""
    at = data.find(text)
    if at == -1:
        sys.exit("not in the log")
    offset = at // BLOCK * BLOCK
    return next(b for b in blocks(data) if b[0] == offset)


def main(command, path, argument):
    with open(path, "rb") as f:
        data = f.read()
    if command == "flip":
        flip(path, int(argument))
    elif command == "flip-pages":
        page, at = map(int, argument.split(":"))
        changed = bytearray(data)
        for offset in range(page * BLOCK + at, len(data), BLOCK):
            changed[offset] ^= 0xFF
        write_at(path, 0, changed)
    elif command == "flip-all":
        at, found = data.find(argument.encode()), 0
        while at != -1:
            flip(path, at)
            at, found = data.find(argument.encode(), at + 1), found + 1
        if not found:
            sys.exit("not in the file")
    elif command == "tear":
        offset, _, place, count = block_of(data, argument.encode())
        if count < 3:
            sys.exit("the batch has only %d blocks" % count)
        keep = offset - place * BLOCK + BLOCK
        write_at(path, keep, bytes(len(data) - keep))
    elif command == "older":
        offset, batch, _, _ = block_of(data, argument.encode())
        if not any(b[1] > batch for b in blocks(data)):
            sys.exit("it is in the last batch")
        print(offset)
    else:
        sys.exit(__doc__)


main(*sys.argv[1:])
