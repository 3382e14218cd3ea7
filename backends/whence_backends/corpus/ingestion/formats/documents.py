"""JSON documents: an array of rows, an object with such an array as ``data``, or a sequence of objects."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, Final

from whence_backends.corpus.ingestion.formats.lines import PATIENT_DECODER, as_row, read_json_lines, unique_keys
from whence_backends.corpus.ingestion.formats.streams import UnreadableError, bounded_lines, open_bytes
from whence_backends.corpus.ingestion.rows import InputFile, Row

_ROWS: Final = "data"  # the field that holds the rows of a document that is an object
_PIECE_CHARACTERS: Final = 1 << 18
_SPACE: Final = re.compile(r"[ \t\n\r]*")


def read_json(file: InputFile, max_row_bytes: int) -> Iterator[Row]:
    """Yield the rows of a JSON document, numbered from 1, holding one of them at a time.

    Files named ``.json`` that hold JSON Lines are read as such. Raises :class:`UnreadableError` at a syntax error,
    since rows after it cannot be told apart.
    """
    if _has_an_object_a_line(file, max_row_bytes):
        yield from read_json_lines(file, max_row_bytes)
        return
    with open_bytes(file) as stream:
        text = io.TextIOWrapper(stream.bytes, encoding="utf-8", errors="surrogateescape", newline="")
        for number, value in enumerate(_rows(_Cursor(text, max_row_bytes)), start=1):
            columns, problem = as_row(value)
            yield Row(file=file, line=number, columns=columns, problem=problem, read_fraction=stream.read_fraction())


def _has_an_object_a_line(file: InputFile, max_row_bytes: int) -> bool:
    with open_bytes(file) as stream:
        lines = (line.strip() if line else b"" for _, line in bounded_lines(stream, max_row_bytes))
        filled = filter(None, lines)
        first = next(filled, b"")
        return first.startswith(b"{") and _is_json(first) and next(filled, b"").startswith(b"{")


def _is_json(line: bytes) -> bool:
    try:
        PATIENT_DECODER.decode(line.decode())
    except (ValueError, RecursionError):
        return False
    return True


def _rows(cursor: _Cursor) -> Iterator[Any]:
    while opening := cursor.peek():
        if opening == "[":
            yield from _elements(cursor)
        elif opening == "{":
            yield from _object(cursor)
        else:
            yield cursor.value()


def _elements(cursor: _Cursor) -> Iterator[Any]:
    cursor.take("[")
    if cursor.peek() == "]":
        cursor.take("]")
        return
    while True:
        yield cursor.value()
        if cursor.take(",", "]") == "]":
            return


def _object(cursor: _Cursor) -> Iterator[Any]:
    """Yield the rows in an object's ``data``, or the object itself if it has none."""
    fields, has_rows, begin = [], False, cursor.consumed
    cursor.take("{")
    closing = "," if cursor.peek() != "}" else cursor.take("}")
    while closing == ",":
        name = cursor.value()
        cursor.take(":")
        if name == _ROWS and cursor.peek() == "[":
            has_rows = True
            yield from _elements(cursor)
        else:
            fields.append((name, cursor.value()))
        closing = cursor.take(",", "}")
        if not has_rows:
            cursor.require_within_a_row(begin)
    if not has_rows:
        yield unique_keys(fields)


class _Cursor:
    """A position in a JSON text. State: the text that was read and not yet consumed, and the characters consumed."""

    def __init__(self, text: io.TextIOWrapper, max_row_characters: int) -> None:
        self._text = text
        self._most = max_row_characters
        self._held, self._at, self._dropped = "", 0, 0

    @property
    def consumed(self) -> int:
        return self._dropped + self._at

    def peek(self) -> str:
        """Return the next character that is not space, or an empty string at the end."""
        while True:
            self._at = _SPACE.match(self._held, self._at).end()  # type: ignore[union-attr]  # always matches
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._read_on():
                return ""

    def take(self, *expected: str) -> str:
        """Consume the next character, which must be one of ``expected``."""
        character = self.peek()
        if character not in expected:
            got = repr(character) if character else "the end of the file"
            raise UnreadableError(f"expected {' or '.join(map(repr, expected))}, got {got}")
        self._at += 1
        return character

    def value(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Parse the value at this position."""
        self.peek()
        while True:
            try:
                value, end = PATIENT_DECODER.raw_decode(self._held, self._at)
            except RecursionError:
                raise UnreadableError("it is nested too deeply") from None
            except ValueError as error:
                if not self._read_on():
                    raise UnreadableError(f"it is not JSON: {error}") from None
            else:
                if end < len(self._held) or not self._read_on():  # a number at the end may continue
                    self._at = end
                    return value

    def require_within_a_row(self, begin: int) -> None:
        if self.consumed - begin > self._most:
            raise UnreadableError(
                f"it is one object of more than {self._most:,} bytes; expected an array of rows, an object with such "
                f"an array as {_ROWS!r}, or an object a line"
            )

    def _read_on(self) -> bool:
        """Read at least as much again, so that a long value is not parsed a quadratic number of times."""
        left = len(self._held) - self._at
        if left > self._most:
            raise UnreadableError(f"a row of it has more than {self._most:,} bytes, the most that one may have")
        piece = self._text.read(max(_PIECE_CHARACTERS, left))
        self._held, self._at, self._dropped = self._held[self._at :] + piece, 0, self._dropped + self._at
        return bool(piece)
