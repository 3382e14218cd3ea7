"""The values of a metadata field, and their textual form in filters and in the names of groups.

A value is a text or a number, ``true``, ``false`` or an object of JSON. A list stands for its items; ``null`` is no
value. Numbers compare as numbers, however they are written, and texts under Unicode's canonical equivalence.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from whence.terminal import escaped, printable

# Larger numbers are named like floats: Python knows every integral float exactly, but 309 digits are unreadable.
_LONG: Final = 10**21
# The name that ``whence groups`` shows for the group of sequences without a value.
_SHOWN_FOR_NONE: Final = "(none)"


class Value(NamedTuple):
    """A value in canonical form, so that equal values compare equal: text as it is, anything else as JSON."""

    is_text: bool
    written: str


ABSENT: Final = Value(is_text=False, written="")
NULL: Final = Value(is_text=False, written="null")
EMPTY: Final = Value(is_text=True, written="")


def values(metadata: Mapping[str, Any], name: str) -> frozenset[Value]:
    """Return the values of a field, one per item of a list; ``ABSENT`` if there are none.

    ``a.b`` is the field ``a.b`` or, if there is none, the field ``b`` of the object ``a`` or of each object in the list
    ``a``.
    """
    return frozenset(map(_value, _items(metadata, name))) or frozenset([ABSENT])


def name_of(value: Value) -> str:
    """Return the name of the group of sequences that have this value. As a filter it selects just these.

    The name is the value as text or, if that would be read as another value or a terminal would not show all of it, a
    quoted text of JSON.
    """
    if value in (ABSENT, NULL, EMPTY):
        return ""
    return value.written if not value.is_text or _is_plain(value.written) else _quoted(value.written)


def asked_by(text: str) -> frozenset[Value]:
    """Return the values that match a condition of a filter.

    ``1908`` matches every number equal to it and the text ``1908``; ``"1908"``, in quotes, the text alone; ``true`` the
    truth value and the text; an empty condition the absence of a value and empty text.
    """
    if not text:
        return frozenset([ABSENT, NULL, EMPTY])
    as_text, as_json = _value(text), _read(text)
    if as_json is None:
        return frozenset([as_text])
    return frozenset([as_json]) if as_json.is_text else frozenset([as_text, as_json])


def _items(metadata: Any, name: str) -> Iterator[Any]:  # noqa: ANN401 - any JSON value
    """Yield the values of a field, lists item by item."""
    for part in _flat(metadata):
        if not isinstance(part, Mapping):
            continue
        if name in part:
            yield from _flat(part[name])
            continue
        for field, inner in part.items():
            if name.startswith(f"{field}."):
                yield from _items(inner, name[len(field) + 1 :])


def _flat(value: Any) -> Iterator[Any]:  # noqa: ANN401
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, list):
            left.extend(item)
        else:
            yield item


def _value(item: Any) -> Value:  # noqa: ANN401
    if isinstance(item, str):
        return Value(is_text=True, written=unicodedata.normalize("NFC", item))
    return Value(is_text=False, written=_json(item))


def _read(text: str) -> Value | None:
    """Return the value that a text represents as JSON, ``None`` for a list: its items are the values."""
    try:
        parsed = json.loads(text)
        return None if isinstance(parsed, list) else _value(parsed)
    except (ValueError, RecursionError):
        return None


def _json(item: Any) -> str:  # noqa: ANN401
    """Return canonical JSON: the same for equal values."""
    match item:
        case bool() | None:
            return json.dumps(item)
        case int() | float():
            return _number(item)
        case list():
            return f"[{','.join(map(_json, item))}]"
        case Mapping():
            return f"{{{','.join(sorted(f'{_json(key)}:{_json(part)}' for key, part in item.items()))}}}"
    return _quoted(unicodedata.normalize("NFC", str(item)))


def _number(number: float) -> str:
    """Return a number's canonical text: the same for equal integers and floats."""
    if isinstance(number, float):
        return str(int(number)) if number.is_integer() and abs(number) < _LONG else json.dumps(number)
    try:
        as_float = float(number)
    except OverflowError:
        return str(number)
    return json.dumps(as_float) if abs(number) >= _LONG and as_float == number else str(number)


def _is_plain(text: str) -> bool:
    """Return true if a text, used as a condition, matches only itself and values of the same name."""
    if text != text.strip() or text == _SHOWN_FOR_NONE or printable(text) != text:
        return False
    as_json = _read(text)
    return as_json is None or (not as_json.is_text and as_json != NULL and as_json.written == text)


def _quoted(text: str) -> str:
    """Return a text as a JSON string, with control characters escaped."""
    return escaped(json.dumps(text, ensure_ascii=False))
