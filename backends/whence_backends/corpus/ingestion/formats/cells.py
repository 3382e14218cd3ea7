"""Values of Arrow columns as Python objects, the same with and without pandas; unrepresentable ones become text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from whence_backends.corpus.ingestion.formats.streams import too_large
from whence_backends.corpus.ingestion.rows import BadCell

_UNITS: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # parts of a second


def values(column: Any, max_bytes: int) -> Sequence[Any]:  # noqa: ANN401 - pyarrow has no types
    """Return a column's values. A value that cannot be read, or has more than ``max_bytes``, becomes a bad cell.

    Arrow converts a whole column at once and fails if one value is out of Python's range; values are then converted one
    by one.
    """
    if not _has_nanoseconds(column.type) and not _has_large(column, max_bytes):
        try:
            return column.to_pylist()  # type: ignore[no-any-return]
        except (ValueError, OverflowError, pa.ArrowException):  # invalid UTF-8, or a date out of range
            pass
    return [_value(scalar, max_bytes) for scalar in column]


def _value(scalar: Any, max_bytes: int) -> Any:  # noqa: ANN401
    """Return a scalar's value, converting nested values recursively."""
    kind = scalar.type
    if not scalar.is_valid:
        return None
    if kinds.is_dictionary(kind) or isinstance(kind, pa.BaseExtensionType):
        return _value(scalar.value, max_bytes)
    if kinds.is_map(kind):
        return [(_value(pair["key"], max_bytes), _value(pair["value"], max_bytes)) for pair in scalar.values]
    if kinds.is_struct(kind):
        return {field.name: _value(scalar[number], max_bytes) for number, field in enumerate(kind)}
    if hasattr(scalar, "values") and kinds.is_nested(kind):
        return [_value(item, max_bytes) for item in scalar.values]
    if _is_text(kind) and len(scalar.as_buffer() or b"") > max_bytes:
        return BadCell(problem=too_large(max_bytes))
    if _is_nanoseconds(kind):
        return _moment(scalar)
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return BadCell(problem="is not UTF-8", shown=scalar.as_buffer().to_pybytes().decode("utf-8", "replace"))
    except (ValueError, OverflowError, pa.ArrowException):
        return _moment(scalar) if kinds.is_temporal(kind) else BadCell(problem=f"is a {kind} that Python cannot hold")


def _moment(scalar: Any) -> str:  # noqa: ANN401
    """Return a time of any range and precision as text, such as ``12345-06-07 08:09:10.123456789``."""
    kind, ticks = scalar.type, scalar.value
    if kinds.is_date(kind):
        return str(np.datetime64(ticks, "D" if kinds.is_date32(kind) else "ms").astype("datetime64[D]"))
    seconds, rest = divmod(ticks, _UNITS[kind.unit])
    fraction = f".{rest:0{len(str(_UNITS[kind.unit])) - 1}d}".rstrip("0").rstrip(".") if rest else ""
    if kinds.is_duration(kind):
        return f"{seconds}{fraction} s"
    text = str(np.datetime64(seconds, "s")).replace("T", " ") + fraction
    return text.partition(" ")[2] if kinds.is_time(kind) else text + ("+00:00" if kind.tz else "")


def _has_nanoseconds(kind: Any) -> bool:  # noqa: ANN401
    """Return true for values with nanoseconds, which pandas' types can represent and Python's cannot."""
    if kinds.is_dictionary(kind):
        return _has_nanoseconds(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return _has_nanoseconds(kind.storage_type)
    if kinds.is_nested(kind):
        return any(_has_nanoseconds(kind.field(number).type) for number in range(kind.num_fields))
    return _is_nanoseconds(kind)


def _is_nanoseconds(kind: Any) -> bool:  # noqa: ANN401
    return kinds.is_temporal(kind) and getattr(kind, "unit", "") == "ns"


def _is_text(kind: Any) -> bool:  # noqa: ANN401
    return bool(
        kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_binary(kind) or kinds.is_large_binary(kind)
    )


def _has_large(column: Any, max_bytes: int) -> bool:  # noqa: ANN401
    if not _is_text(column.type) or column.nbytes <= max_bytes:
        return False
    return bool(pc.max(pc.binary_length(column)).as_py() > max_bytes)
