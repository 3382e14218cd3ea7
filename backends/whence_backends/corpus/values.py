"""What a sequence's metadata says under a name, and how such values are written as text in filters and groups' names.

A value is a text, or a number, ``true``, ``false`` or an object of JSON; a list is its items, ``null`` is no value.
Numbers compare as numbers, whatever they look like, and texts as Unicode does: letters and accents apart or together.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from whence.terminal import escaped, printable

# From here on a number is named as a float is: Python knows every whole float exactly, but nobody reads 309 digits.
_LONG: Final = 10**21
# What ``whence groups`` shows for the group of sequences without a value.
_SHOWN_FOR_NONE: Final = "(none)"


class Value(NamedTuple):
    """A value, in a form in which equal ones are equal: a text as it is, anything else as JSON."""

    is_text: bool
    written: str


ABSENT: Final = Value(is_text=False, written="")
NULL: Final = Value(is_text=False, written="null")
EMPTY: Final = Value(is_text=True, written="")


def values(metadata: Mapping[str, Any], name: str) -> frozenset[Value]:
    """Return what metadata says under a name: of a list each item; ``ABSENT`` where it says nothing.

    ``a.b`` is the field ``a.b``, or where there is none the field ``b`` of the object ``a``, or of each object in a
    list ``a``.
    """
    return frozenset(map(_value, _items(metadata, name))) or frozenset([ABSENT])


def name_of(value: Value) -> str:
    """Return the name of the group of sequences that have this value; :func:`asked_by` has it mean just these.

    That is the value as text, where no other value is written so and a terminal shows all of it, else a text of JSON.
    """
    if value in (ABSENT, NULL, EMPTY):
        return ""
    return value.written if not value.is_text or _is_plain(value.written) else _quoted(value.written)


def asked_by(text: str) -> frozenset[Value]:
    """Return the values that a condition of a filter asks for; any of them will do.

    ``1908`` is every number that equals it and the text ``1908``; ``"1908"``, in quotes, the text alone; ``true`` the
    truth value and the text; nothing at all is no value or an empty text.
    """
    if not text:
        return frozenset([ABSENT, NULL, EMPTY])
    as_text, as_json = _value(text), _read(text)
    if as_json is None:
        return frozenset([as_text])
    return frozenset([as_json]) if as_json.is_text else frozenset([as_text, as_json])


def _items(found: Any, name: str) -> Iterator[Any]:  # noqa: ANN401 - any JSON value
    """Yield what is under a name, lists item by item."""
    for part in _flat(found):
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
    """Return the value that a text is the JSON of. A list is none: sequences have its items."""
    try:
        parsed = json.loads(text)
        return None if isinstance(parsed, list) else _value(parsed)
    except (ValueError, RecursionError):
        return None


def _json(item: Any) -> str:  # noqa: ANN401
    """Return JSON that is the same for equal values."""
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
    """Return the same for numbers that are equal, whole or not."""
    if isinstance(number, float):
        return str(int(number)) if number.is_integer() and abs(number) < _LONG else json.dumps(number)
    try:
        as_float = float(number)
    except OverflowError:
        return str(number)
    return json.dumps(as_float) if abs(number) >= _LONG and as_float == number else str(number)


def _is_plain(text: str) -> bool:
    """Say whether a text, as a condition, asks for nothing but itself and what is named like it."""
    if text != text.strip() or text == _SHOWN_FOR_NONE or printable(text) != text:
        return False
    as_json = _read(text)
    return as_json is None or (not as_json.is_text and as_json != NULL and as_json.written == text)


def _quoted(text: str) -> str:
    """Return a text as JSON writes it, with escapes for what a terminal must not be sent."""
    return escaped(json.dumps(text, ensure_ascii=False))
