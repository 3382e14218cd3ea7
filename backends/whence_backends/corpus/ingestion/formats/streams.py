"""The bytes of a file: decompressed, in UTF-8, and split into lines of bounded length."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from whence_backends.corpus.ingestion.rows import Compression, InputFile

_BUFFER_BYTES: Final = 1 << 18
_BOM: Final = codecs.BOM_UTF8
# Longer marks first: that of UTF-32 begins with that of UTF-16.
_WIDE_ENCODINGS: Final = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def _zstd(raw: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    # Arrow's reader accepts several consecutive frames and raises if the last one is truncated.
    return pa.CompressedInputStream(raw, "zstd")


_DECOMPRESSORS: Final[Mapping[Compression, Callable[[Any], Any]]] = {
    "": lambda raw: raw,
    "gzip": gzip.open,
    "zstd": _zstd,
    "bz2": lambda raw: _Streams(raw, bz2.BZ2Decompressor),
    "xz": lambda raw: _Streams(raw, lzma.LZMADecompressor),
}


class UnreadableError(ValueError):
    """A file cannot be read any further; the message gives the reason."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ByteStream:
    """An open file: its bytes, and the fraction of it that has been read, from 0 to 1."""

    bytes: io.BufferedReader
    read_fraction: Callable[[], float]


@contextmanager
def open_bytes(file: InputFile) -> Iterator[ByteStream]:
    """Open a file as UTF-8: decompressed, and recoded if it has a byte order mark of UTF-16 or UTF-32."""
    size_bytes = max(file.path.stat().st_size, 1)
    with file.path.open("rb") as raw:
        plain = io.BufferedReader(_DECOMPRESSORS[file.compression](raw), _BUFFER_BYTES)
        start = plain.peek(4)[:4]
        encoding = next((name for mark, name in _WIDE_ENCODINGS.items() if start.startswith(mark)), None)
        if encoding is not None:
            plain = io.BufferedReader(_Recoded(plain, encoding), _BUFFER_BYTES)
        elif start.startswith(_BOM):
            plain.read(len(_BOM))
        yield ByteStream(bytes=plain, read_fraction=lambda: min(raw.tell() / size_bytes, 1.0))


def bounded_lines(stream: ByteStream, max_bytes: int) -> Iterator[tuple[int, bytes | None]]:
    """Yield (number, line), counted from 1, with ``None`` for a line of more than ``max_bytes``."""
    number = 0
    while line := stream.bytes.readline(max_bytes + 1):
        number += 1
        if len(line) <= max_bytes or line.endswith(b"\n"):
            yield number, line
            continue
        while (rest := stream.bytes.readline(_BUFFER_BYTES)) and not rest.endswith(b"\n"):
            pass
        yield number, None


def too_large(max_row_bytes: int) -> str:
    """Return the problem of a row of more than ``max_row_bytes``."""
    return f"has more than {max_row_bytes:,} bytes, the most that a row may have"


class _Streams(io.RawIOBase):
    """Consecutive compressed streams, decompressed to the end of the last.

    Python's readers stop silently at bytes that do not begin a stream, and so at a damaged stream or at xz's padding.
    """

    def __init__(self, raw: Any, begin: Callable[[], Any]) -> None:  # noqa: ANN401 - bz2 and lzma share no type
        self._raw = raw
        self._begin = begin
        self._stream = begin()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        given = b""
        while True:
            if self._stream.eof:
                given = self._next_stream()
                if not given:
                    return 0
                self._stream = self._begin()
            elif self._stream.needs_input:
                given = self._raw.read(_BUFFER_BYTES)
                if not given:
                    raise EOFError("Compressed file ended before the end-of-stream marker was reached")
            plain = self._stream.decompress(given, max_length=len(buffer))
            given = b""
            if plain:
                buffer[: len(plain)] = plain
                return len(plain)

    def _next_stream(self) -> bytes:
        """Return the bytes after a finished stream and its zero padding; empty at the end of the file."""
        rest: bytes = self._stream.unused_data.lstrip(b"\0")
        while not rest:
            more = self._raw.read(_BUFFER_BYTES)
            if not more:
                break
            rest = more.lstrip(b"\0")
        return rest


class _Recoded(io.RawIOBase):
    """A stream of text in another encoding, recoded as UTF-8."""

    def __init__(self, source: io.BufferedReader, encoding: str) -> None:
        self._text = io.TextIOWrapper(source, encoding=encoding, newline="")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        encoded = self._text.read(len(buffer) // 4).encode()  # at most four bytes per character
        buffer[: len(encoded)] = encoded
        return len(encoded)
