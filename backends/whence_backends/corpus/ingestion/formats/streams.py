"""The bytes of a file: decompressed, in UTF-8, and line by line with a bound on the length of a line."""

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
# The longer marks first: UTF-32's begins with UTF-16's.
_WIDE_ENCODINGS: Final = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def _zstd(raw: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    # Arrow's own reader takes several frames after each other and raises where the last is torn.
    return pa.CompressedInputStream(raw, "zstd")


_DECOMPRESSORS: Final[Mapping[Compression, Callable[[Any], Any]]] = {
    "": lambda raw: raw,
    "gzip": gzip.open,
    "zstd": _zstd,
    "bz2": lambda raw: _Streams(raw, bz2.BZ2Decompressor),
    "xz": lambda raw: _Streams(raw, lzma.LZMADecompressor),
}


class UnreadableError(ValueError):
    """From here on a file cannot be read; the message says why."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ByteStream:
    """An open file: its bytes, and how much of it has been read, from 0 to 1."""

    bytes: io.BufferedReader
    read_fraction: Callable[[], float]


@contextmanager
def open_bytes(file: InputFile) -> Iterator[ByteStream]:
    """Open a file as UTF-8, whatever it is compressed with; what says that it is UTF-16 or UTF-32 is recoded."""
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
    """Yield the lines with their numbers, counted from 1, and ``None`` for one of more than ``max_bytes`` bytes."""
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
    """Return what is wrong with a row of more than ``max_row_bytes``."""
    return f"has more than {max_row_bytes:,} bytes, the most that a row may have"


class _Streams(io.RawIOBase):
    """Compressed streams after each other, decompressed to the end of the last.

    Python's own readers end without a word at what is no stream, and so at the first damaged one, or at xz's padding.
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
        """Return what follows the stream that has ended, and the zeros that may pad it; nothing at the file's end."""
        rest: bytes = self._stream.unused_data.lstrip(b"\0")
        while not rest:
            more = self._raw.read(_BUFFER_BYTES)
            if not more:
                break
            rest = more.lstrip(b"\0")
        return rest


class _Recoded(io.RawIOBase):
    """What a stream says in another encoding, in UTF-8."""

    def __init__(self, source: io.BufferedReader, encoding: str) -> None:
        self._text = io.TextIOWrapper(source, encoding=encoding, newline="")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        encoded = self._text.read(len(buffer) // 4).encode()  # four bytes a character at most
        buffer[: len(encoded)] = encoded
        return len(encoded)
