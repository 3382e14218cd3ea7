"""JSON that is one document: an array of rows, an object with such an array as ``data``, or objects in a row."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, Final

from whence_backends.corpus.ingestion.formats.lines import PATIENT_DECODER, as_row, read_json_lines, unique_keys
from whence_backends.corpus.ingestion.formats.streams import UnreadableError, bounded_lines, open_bytes
from whence_backends.corpus.ingestion.rows import InputFile, Row

_ROWS: Final = "data"  # the field that holds the rows, where the document is an object
_PIECE_CHARACTERS: Final = 1 << 18
_SPACE: Final = re.compile(r"[ \t\n\r]*")


def read_json(file: InputFile, max_row_bytes: int) -> Iterator[Row]:
    """Yield the rows of a JSON document, numbered from 1, holding one of them at a time.

    Many files that are called ``.json`` hold JSON Lines; they are read as such. Raises :class:`UnreadableError`
    where the JSON ends or errs: what follows could not be told apart.
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
    """Yield the rows that an object holds, or the object itself where it holds none."""
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
    """A place in a JSON text. State: what was read and is not used up, and how many characters are behind."""

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
            self._at = _SPACE.match(self._held, self._at).end()  # type: ignore[union-attr]  # it always matches
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._read_on():
                return ""

    def take(self, *expected: str) -> str:
        """Step over the next character, which must be one of those expected."""
        found = self.peek()
        if found not in expected:
            got = repr(found) if found else "the end of the file"
            raise UnreadableError(f"expected {' or '.join(map(repr, expected))}, got {got}")
        self._at += 1
        return found

    def value(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Read the value that begins here."""
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
                if end < len(self._held) or not self._read_on():  # a number at the end may go on
                    self._at = end
                    return value

    def require_within_a_row(self, begin: int) -> None:
        if self.consumed - begin > self._most:
            raise UnreadableError(
                f"it is one object of more than {self._most:,} bytes; expected an array of rows, an object with such "
                f"an array as {_ROWS!r}, or an object a line"
            )

    def _read_on(self) -> bool:
        """Hold at least twice as much as now, so that a long value is not looked at again and again."""
        left = len(self._held) - self._at
        if left > self._most:
            raise UnreadableError(f"a row of it has more than {self._most:,} bytes, the most that one may have")
        piece = self._text.read(max(_PIECE_CHARACTERS, left))
        self._held, self._at, self._dropped = self._held[self._at :] + piece, 0, self._dropped + self._at
        return bool(piece)
