"""From plain data to data classes: the inverse of ``dataclasses.asdict``, also where JSON lies between."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

Reader = Callable[[Any, str], Any]


def from_plain(kind: type[T], value: object, path: str = "") -> T:
    """Return the data class ``kind`` of plain data. Unknown fields are left out, and lists become tuples.

    Raises ``ValueError`` that names the field, from ``path``, where one is missing or of another type. A number that
    is null is NaN: JSON has neither NaN nor infinities.
    """
    hint: Any = kind
    result: T = _reader(hint)(value, path)
    return result


@cache
def _reader(hint: Any) -> Reader:  # noqa: ANN401 - whatever a field is declared as
    """Return the function that reads values of a declared type. It takes the value and the path that leads to it."""
    if hint in _SCALARS:
        return _SCALARS[hint]
    if dataclasses.is_dataclass(hint):
        return _record(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        [other] = [argument for argument in arguments if argument is not NoneType]
        return _optional(_reader(other))
    if origin is tuple:
        return _items(_reader(arguments[0]))
    if origin is dict:
        return _entries(_reader(arguments[1]))
    raise TypeError(f"fields of the type {hint} cannot be read")


def _record(kind: Any) -> Reader:  # noqa: ANN401 - a data class
    hints = get_type_hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in dataclasses.fields(kind)}
    needed = [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]

    def read(value: Any, path: str) -> Any:  # noqa: ANN401
        if not isinstance(value, Mapping):
            raise _unfit(value, path, "an object")
        for name in needed:
            if name not in value:
                raise ValueError(f"{path}{name} is missing")
        return kind(
            **{name: reader(value[name], f"{path}{name}.") for name, reader in readers.items() if name in value}
        )

    return read


def _optional(reader: Reader) -> Reader:
    return lambda value, path: None if value is None else reader(value, path)


def _items(reader: Reader) -> Reader:
    def read(value: Any, path: str) -> tuple[Any, ...]:  # noqa: ANN401
        if not isinstance(value, list | tuple):
            raise _unfit(value, path, "a list")
        return tuple([reader(item, path) for item in value])

    return read


def _entries(reader: Reader) -> Reader:
    def read(value: Any, path: str) -> dict[str, Any]:  # noqa: ANN401
        if not isinstance(value, Mapping):
            raise _unfit(value, path, "an object")
        return {str(name): reader(item, path) for name, item in value.items()}

    return read


def _float(value: Any, path: str) -> float:  # noqa: ANN401
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _unfit(value, path, "a number")
    return float(value)


def _instance(kind: type, name: str) -> Reader:
    def read(value: Any, path: str) -> Any:  # noqa: ANN401
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise _unfit(value, path, name)
        return value

    return read


def _unfit(value: object, path: str, expected: str) -> ValueError:
    got = "null" if value is None else type(value).__name__
    return ValueError(f"{path.removesuffix('.') or 'the document'} is {got}; expected {expected}")


_SCALARS: Final[dict[Any, Reader]] = {
    float: _float,
    int: _instance(int, "a whole number"),
    str: _instance(str, "a text"),
    bool: _instance(bool, "true or false"),
    Any: lambda value, _: value,
}
