"""Plain text: each file is a document."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from whence_backends.corpus.ingestion.formats.streams import open_bytes
from whence_backends.corpus.ingestion.rows import InputFile, LongText, Row

_PIECE_BYTES: Final = 1 << 18
_HELD_CHARACTERS: Final = 1 << 20  # longer texts are read piece by piece


def read_text(file: InputFile, max_row_bytes: int) -> Iterator[Row]:
    """Yield the file as one row of any size: ``max_row_bytes`` limits only texts that are held in memory.

    The file is checked to its end first: if it is truncated or not valid UTF-8, it is left out as a whole.
    """
    checked = _check(file)
    if checked.problem:
        yield Row(file=file, line=checked.lines + 1, columns=None, problem=checked.problem, read_fraction=1.0)
        return
    text: str | LongText = LongText(pieces=lambda: _pieces(file))
    if checked.characters <= _HELD_CHARACTERS:
        text = "".join(piece for piece, _ in _pieces(file))
    yield Row(file=file, line=1, columns={"text": text, "id": file.name}, read_fraction=0.0)


@dataclass(kw_only=True)
class _Checked:
    """The result of checking a file; ``lines`` is the number of lines before the problem, if there is one."""

    characters: int = 0
    lines: int = 0
    problem: str = ""


def _check(file: InputFile) -> _Checked:
    checked, is_blank = _Checked(), True
    try:
        for piece, _ in _pieces(file):
            checked.characters += len(piece)
            checked.lines += piece.count("\n")
            is_blank = is_blank and not piece.strip()
    except UnicodeDecodeError as error:
        checked.lines += error.object.count(b"\n", 0, error.start)
        checked.problem = "is not UTF-8"
    else:
        checked.problem = "has an empty 'text'" if is_blank else ""
        checked.lines = 0 if is_blank else checked.lines
    return checked


def _pieces(file: InputFile) -> Iterator[tuple[str, float]]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open_bytes(file) as stream:
        while block := stream.bytes.read(_PIECE_BYTES):
            yield decoder.decode(block), stream.read_fraction()
        yield decoder.decode(b"", final=True), 1.0
