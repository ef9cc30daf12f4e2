#!/usr/bin/env python3
"""Reads a recording and prints each event: position, nanoseconds, type, subject.
It needs the standard library only; for zstd, that of Python 3.14."""
import hashlib, json, struct, sys, zlib

def unpack(method, data, size):
    if method == 93:
        from compression import zstd
        return zstd.decompress(data)
    return zlib.decompressobj(-15).decompress(data, size + 1) if method == 8 else data

def parts(f):
    """The parts of the file, one local header after the other, up to the directory or a tear."""
    while len(head := f.read(30)) == 30 and head[:4] == b"PK\x03\x04":
        method, crc, stored, size, n, m = struct.unpack("<8xH4xIIIHH", head)
        assert size <= 1 << 30, "more than a recording may have"
        head += f.read(n + m)
        packed = f.read(stored)
        if len(packed) < stored:
            return
        assert hashlib.sha256(head[:-32] + packed).digest() == head[-32:], "damaged"
        data = unpack(method, packed, size)
        assert len(data) == size and zlib.crc32(data) == crc, "damaged"
        first, last = struct.unpack_from("<4xQQ", head, 30 + n)
        yield head[30:30 + n].decode(), first, last, data

def skip(b, i):
    """Where the msgpack value at i ends."""
    x, of = b[i], 0
    if x <= 0x7f or x >= 0xe0 or x in (0xc0, 0xc2, 0xc3): return i + 1
    if 0xca <= x <= 0xd3: return i + 1 + {0xca: 4, 0xcb: 8}.get(x, 1 << (x & 3))
    if x <= 0x9f: i, of = i + 1, (x & 15) * (2 if x <= 0x8f else 1)
    elif x <= 0xbf: i += 1 + (x & 31)
    else:
        w = {0xc4: 1, 0xc5: 2, 0xc6: 4, 0xd9: 1, 0xda: 2, 0xdb: 4}.get(x, 2 << (x & 1))
        n, i = int.from_bytes(b[i + 1:i + 1 + w], "big"), i + 1 + w
        if x >= 0xdc: of = n * (2 if x >= 0xde else 1)
        else: i += n
    for _ in range(of): i = skip(b, i)
    return i

def field(b, want):
    """The bytes of a string field of an event, which is a map."""
    i = 3 if b[0] == 0xde else 1
    while b[i + 1:(value := skip(b, i))] != want: i = skip(b, value)
    return b[value + 1:skip(b, value)].decode()

with open(sys.argv[1], "rb") as f:
    for name, at, last, data in parts(f):
        assert name != "manifest.json" or json.loads(data)["format"] == 1, "another format"
        while name.startswith("blocks/") and data:
            seq, nanos, s, r = struct.unpack_from("<QqHI", data)
            assert seq == at <= last, "a position is missing"
            print(seq, nanos, field(data[22 + s:22 + s + r], b"type"), data[22:22 + s].decode())
            data, at = data[22 + s + r:], at + 1
