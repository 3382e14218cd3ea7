"""What may arrive at a port instead of gRPC: other protocols, broken frames, floods, headers without end.

Frames are those of HTTP/2, RFC 9113; header blocks are literals of HPACK, RFC 7541 §6.2.2. Each attack is all that one
connection sends.
"""

from __future__ import annotations

import gzip
import random
import struct
from collections.abc import Callable
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _PRIORITY, _RESET, _SETTINGS, _PUSH, _PING, _GOAWAY, _WINDOW, _CONTINUATION = range(10)
_END_STREAM, _END_HEADERS = 0x1, 0x4

Attack = Callable[[random.Random, str], bytes]


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0, length: int | None = None) -> bytes:
    """One frame. ``length`` is what it says of its payload, if that is not the truth."""
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + bytes([kind & 0xFF, flags & 0xFF]) + struct.pack(">I", stream) + payload


def header(name: str, value: str) -> bytes:
    """One header field, as a literal that is not indexed."""
    return b"\x00" + _text(name) + _text(value)


def _text(text: str) -> bytes:
    data = text.encode("latin-1")
    return _integer(len(data), 7) + data


def _integer(value: int, bits: int) -> bytes:
    most = (1 << bits) - 1
    if value < most:
        return bytes([value])
    out, value = bytearray([most]), value - most
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def opened(method: str, *more: tuple[str, str]) -> bytes:
    """A connection on which a call to ``method`` has begun, on stream 1."""
    given = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "x"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *more,
    )
    block = b"".join(header(*pair) for pair in given)
    return PREFACE + frame(_SETTINGS) + frame(_HEADERS, block, flags=_END_HEADERS, stream=1)


def sent(message: bytes, *, compressed: int = 0, length: int | None = None) -> bytes:
    """A gRPC message in a DATA frame that ends the stream."""
    size = len(message) if length is None else length
    return frame(_DATA, struct.pack(">BI", compressed, size) + message, flags=_END_STREAM, stream=1)


def noise(chance: random.Random, _: str) -> bytes:
    return chance.randbytes(chance.randrange(1, 400))


def http1(chance: random.Random, method: str) -> bytes:
    verb = chance.choice(["GET", "POST", "CONNECT", "OPTIONS", "PRI", "\x00"])
    return f"{verb} {method} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n{{}}".encode()


def tls_hello(chance: random.Random, _: str) -> bytes:
    body = b"\x03\x03" + chance.randbytes(32) + b"\x00\x00\x02\x13\x01\x01\x00"
    hello = b"\x01" + struct.pack(">I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack(">H", len(hello)) + hello


def random_frames(chance: random.Random, _: str) -> bytes:
    frames = [
        frame(
            chance.randrange(12),
            chance.randbytes(chance.randrange(30)),
            flags=chance.randrange(256),
            stream=chance.choice([0, 1, 2, 3, 2**31 - 1]),
        )
        for _ in range(chance.randrange(1, 20))
    ]
    return PREFACE + frame(_SETTINGS) + b"".join(frames)


def truncated_frame(chance: random.Random, method: str) -> bytes:
    whole = opened(method) + sent(b"\x0a\x00")
    return whole[: chance.randrange(1, len(whole))]


def length_that_lies(chance: random.Random, method: str) -> bytes:
    if chance.random() < 0.5:
        return opened(method) + sent(b"\x0a\x00", length=chance.choice([0, 1, 2**31, 2**32 - 1]))
    return opened(method) + frame(_DATA, b"\x00" * 9, stream=1, length=chance.choice([0, 3, 2**24 - 1]))


def huge_headers(chance: random.Random, method: str) -> bytes:
    return opened(method, *((f"x-{number}", "y" * 1000) for number in range(chance.randrange(1, 120))))


def odd_headers(chance: random.Random, method: str) -> bytes:
    name = chance.choice(
        ["authorization", "x-request-id", "grpc-timeout", "grpc-encoding", "traceparent", "X-A", ":path"]
    )
    value = "".join(chance.choice("\x00\r\n\x7f\xff aZ9-_") for _ in range(chance.randrange(200)))
    return opened(method, (name, value)) + sent(b"")


def endless_headers(chance: random.Random, _: str) -> bytes:
    begun = frame(_HEADERS, header(":method", "POST"), stream=1)
    more = frame(_CONTINUATION, header("x", "y" * 200), stream=1)
    return PREFACE + frame(_SETTINGS) + begun + more * chance.randrange(1, 200)


def bad_header_block(chance: random.Random, _: str) -> bytes:
    block = chance.choice([b"\xff\xff\xff\xff\xff\x0f", b"\x40\xff\xff\xff\xff\x7f", chance.randbytes(40), b"\x80"])
    return PREFACE + frame(_SETTINGS) + frame(_HEADERS, block, flags=_END_HEADERS | _END_STREAM, stream=1)


def bomb(chance: random.Random, method: str) -> bytes:
    inflated = gzip.compress(b"\x0a" + b"\xff" * chance.randrange(1 << 16, 1 << 21), 9)
    encoding = chance.choice(["gzip", "deflate", "identity", "br", "snappy"])
    return opened(method, ("grpc-encoding", encoding)) + sent(inflated, compressed=chance.choice([0, 1, 2, 255]))


def deep_nesting(chance: random.Random, method: str) -> bytes:
    data = b""
    for _ in range(chance.randrange(100, 4000)):
        length, size = len(data), bytearray()
        while length > 0x7F:
            size.append(length & 0x7F | 0x80)
            length >>= 7
        data = b"\x0a" + bytes([*size, length]) + data
    return opened(method) + sent(data[: 1 << 14])


def settings_flood(chance: random.Random, _: str) -> bytes:
    setting = struct.pack(">HI", chance.randrange(1, 9), chance.randrange(2**32))
    return PREFACE + frame(_SETTINGS, setting) * chance.randrange(1, 300)


def ping_flood(chance: random.Random, _: str) -> bytes:
    return PREFACE + frame(_SETTINGS) + frame(_PING, b"12345678") * chance.randrange(1, 300)


def reset_flood(chance: random.Random, method: str) -> bytes:
    """Calls that are begun and given up at once, as in CVE-2023-44487."""
    block = b"".join(header(*pair) for pair in ((":method", "POST"), (":scheme", "http"), (":path", method)))
    calls = (
        frame(_HEADERS, block, flags=_END_HEADERS, stream=stream) + frame(_RESET, b"\x00\x00\x00\x08", stream=stream)
        for stream in range(1, 2 * chance.randrange(1, 150), 2)
    )
    return PREFACE + frame(_SETTINGS) + b"".join(calls)


def windows_that_overflow(chance: random.Random, method: str) -> bytes:
    return opened(method) + frame(_WINDOW, b"\x7f\xff\xff\xff", stream=chance.choice([0, 1])) * chance.randrange(1, 5)


def frames_out_of_order(chance: random.Random, _: str) -> bytes:
    kinds = [_DATA, _CONTINUATION, _RESET, _PUSH, _PRIORITY, _GOAWAY, _WINDOW]
    frames = (frame(chance.choice(kinds), b"\x00\x00\x00\x01", stream=chance.randrange(4)) for _ in range(5))
    return PREFACE + b"".join(frames)


ATTACKS: Final[tuple[Attack, ...]] = (
    noise,
    http1,
    tls_hello,
    random_frames,
    truncated_frame,
    length_that_lies,
    huge_headers,
    odd_headers,
    endless_headers,
    bad_header_block,
    bomb,
    deep_nesting,
    settings_flood,
    ping_flood,
    reset_flood,
    windows_that_overflow,
    frames_out_of_order,
)
