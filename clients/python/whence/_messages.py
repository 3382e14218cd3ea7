"""Makes messages, with typed errors that name the field in place of protobuf's ``TypeError`` and ``ValueError``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from whence.errors import InvalidRequestError
from whence.reasons import Reason

M = TypeVar("M", bound=Message)

_REFUSED: Final = (TypeError, ValueError, AttributeError)
_NO_TEXT: Final = (
    "that is not Unicode text: it has half a surrogate pair, which is also how Python reads bytes that are not UTF-8 "
    "from a command line; give it as Unicode, in UTF-8"
)
_EXPECTED: Final = {
    FieldDescriptor.CPPTYPE_STRING: "text",
    FieldDescriptor.CPPTYPE_BOOL: "True or False",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_INT32: "a whole number below 2**31",
    FieldDescriptor.CPPTYPE_UINT32: "a whole number from 0 to 2**32 - 1",
    FieldDescriptor.CPPTYPE_UINT64: "a whole number from 0 to 2**64 - 1",
}


def build(kind: type[M], path: str = "", /, **fields: Any) -> M:  # noqa: ANN401  # values of callers
    """Return the message. ``path`` is its place in the request, as in ``query.text``.

    Raises :class:`~whence.errors.InvalidRequestError` (``INVALID_FIELD``), naming the field, for a value of another
    type or out of range, and for text that is not Unicode: half a surrogate pair, which is also how Python reads bytes
    that are not UTF-8 from a command line.
    """
    try:
        return kind(**fields)
    except _REFUSED as error:
        for name, value in fields.items():
            if not _fits(kind, name, value):
                field = f"{path}.{name}" if path else name
                why = _NO_TEXT if _holds_half_a_pair(value) else f"expected {_expected(kind, name)}"
                raise InvalidRequestError(
                    f"{field} is {_shown(value)}: {why}", reason=Reason.INVALID_FIELD, field=field
                ) from error
        raise


def _fits(kind: type[Message], name: str, value: object) -> bool:
    try:
        kind(**{name: value})
    except _REFUSED:
        return False
    return True


def _expected(kind: type[Message], name: str) -> str:
    field = kind.DESCRIPTOR.fields_by_name[name]
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return "texts by name"
    item = _EXPECTED.get(field.cpp_type, "another message")
    # Versions of protobuf differ in how a descriptor says that a field is repeated.
    return f"a list, of {item} each" if hasattr(getattr(kind(), name), "extend") else item


def _holds_half_a_pair(value: object) -> bool:
    if isinstance(value, str):
        return any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, Mapping):
        return any(map(_holds_half_a_pair, [*value, *value.values()]))
    return isinstance(value, list | tuple | set | frozenset) and any(map(_holds_half_a_pair, value))


def _shown(value: object) -> str:
    """Return the value as Python writes it, printable and at most 100 characters long."""
    shown = ascii(value) if _holds_half_a_pair(value) else repr(value)
    return shown if len(shown) <= 100 else f"{shown[:99]}…"
