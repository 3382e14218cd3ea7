"""JSON Lines: one object per line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from whence_backends.corpus.ingestion.formats.streams import bounded_lines, open_bytes, too_large
from whence_backends.corpus.ingestion.rows import BadCell, InputFile, Row

_BOM: Final = b"\xef\xbb\xbf"  # also inside a file that was concatenated from several


def read_json_lines(file: InputFile, max_row_bytes: int) -> Iterator[Row]:
    """Yield a row for each line that is not blank."""
    with open_bytes(file) as stream:
        for number, line in bounded_lines(stream, max_row_bytes):
            if line is None:
                columns, problem = None, too_large(max_row_bytes)
            elif content := line.removeprefix(_BOM).strip():
                columns, problem = _parse(content)
            else:
                continue
            yield Row(file=file, line=number, columns=columns, problem=problem, read_fraction=stream.read_fraction())


def as_row(value: Any) -> tuple[Mapping[str, Any] | None, str]:  # noqa: ANN401 - whatever JSON holds
    """Return a JSON value as a row's columns, or the reason why it is not a row."""
    if not isinstance(value, dict):
        return None, f"is a JSON {type(value).__name__}; expected an object"
    return value, ""


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object as a dictionary; the value of a duplicate key is a bad cell."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        times = Counter(name for name, _ in pairs)
        fields |= {name: BadCell(problem="is there twice") for name, count in times.items() if count > 1}
    return fields


def whole_number(digits: str) -> int | BadCell:
    """Return a JSON integer, or a bad cell if it has more digits than Python converts."""
    try:
        return int(digits)
    except ValueError:
        return BadCell(problem=f"has {len(digits)} digits", shown=f"{digits[:20]}…")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=unique_keys)
PATIENT_DECODER: Final = json.JSONDecoder(object_pairs_hook=unique_keys, parse_int=whole_number)


def _parse(line: bytes) -> tuple[Mapping[str, Any] | None, str]:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        return None, f"is not UTF-8 (byte {error.start + 1})"
    try:
        return as_row(_DECODER.decode(text))
    except json.JSONDecodeError as error:
        return None, f"is not JSON: {error}"
    except ValueError:  # a number of more digits than Python converts
        return as_row(PATIENT_DECODER.decode(text))
    except RecursionError:
        return None, "is not JSON that can be read: it is nested too deeply"
