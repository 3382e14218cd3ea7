"""Messages as JSON and back, by protobuf's JSON mapping: what is not a message is refused, and the field named."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final, NoReturn, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from whence.errors import InvalidRequestError
from whence.reasons import Reason

M = TypeVar("M", bound=Message)

# Which bounds the time that reading a body takes: a second or two.
MAX_VALUES: Final = 250_000
_SHOWN: Final = 100
_REFUSED: Final = (json_format.ParseError, TypeError, ValueError, AttributeError, OverflowError)
_LARGEST_ENUM: Final = 2**31
_EXPECTED: Final = {
    FieldDescriptor.CPPTYPE_STRING: "text, or base64 where the field is of bytes",
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_INT32: "a whole number below 2**31",
    FieldDescriptor.CPPTYPE_INT64: "a whole number below 2**63, perhaps as text",
    FieldDescriptor.CPPTYPE_UINT32: "a whole number from 0 to 2**32 - 1",
    FieldDescriptor.CPPTYPE_UINT64: "a whole number from 0 to 2**64 - 1, perhaps as text",
}


def to_json(message: Message) -> bytes:
    """Return a message as one line of JSON: names in camelCase, and every field that has no presence."""
    document = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def from_json(kind: type[M], body: bytes) -> M:
    """Return the message that ``body`` is; an empty one is the message without fields.

    Raises ``InvalidRequestError``: ``INVALID_TEXT``, ``INVALID_JSON`` and ``TOO_DEEP_INPUT`` for what is not JSON,
    ``TOO_MANY_FIELDS`` for more than :data:`MAX_VALUES` values, ``UNKNOWN_FIELD`` and ``INVALID_FIELD`` for JSON that
    is not the message.
    """
    document = _parse(body) if body.strip() else {}
    if not isinstance(document, dict):
        raise InvalidRequestError(
            f"the body is {_shown(document)}: expected an object, such as {{}}", reason=Reason.INVALID_JSON
        )
    try:
        _check(kind, document, "")
        return json_format.ParseDict(document, kind())
    except RecursionError:
        raise _too_deep() from None
    except _REFUSED as error:
        _check(kind, document, "", values=True)
        raise InvalidRequestError(
            f"the body is no {kind.DESCRIPTOR.name}: compare it with /openapi.json", reason=Reason.INVALID_FIELD
        ) from error


def _parse(body: bytes) -> object:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            f"the body is not UTF-8: byte {error.start} cannot be read; send JSON in UTF-8", reason=Reason.INVALID_TEXT
        ) from None
    count = _Count()
    try:
        return json.loads(text, object_pairs_hook=count.object, parse_constant=_refuse_constant)
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        raise _not_json(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except ValueError:  # more digits than Python reads
        raise _not_json("a number in it has thousands of digits") from None


class _Count:
    """The number of values seen so far, which is bounded: each costs ten times what it does in a gRPC message."""

    def __init__(self) -> None:
        self._values = 0

    def add(self, values: int) -> None:
        """Count values. Raises ``InvalidRequestError`` (``TOO_MANY_FIELDS``)."""
        self._values += values
        if self._values > MAX_VALUES:
            raise InvalidRequestError(
                f"the body has more than {MAX_VALUES:,} values: send fewer queries, sequences or token ids at once",
                reason=Reason.TOO_MANY_FIELDS,
                max_fields=MAX_VALUES,
            )

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Return an object of JSON, counted. Raises ``InvalidRequestError`` (``INVALID_JSON``) for a repeated name."""
        self.add(1 + len(pairs))
        document: dict[str, Any] = {}
        for name, value in pairs:
            if name in document:
                raise _not_json(f"an object has {_shown(name)} twice")
            if isinstance(value, list):
                self.add(len(value))
            document[name] = value
        return document


def _refuse_constant(name: str) -> NoReturn:
    raise _not_json(f'it has {name}, which is written as text: "{name}"')


def _not_json(problem: str) -> InvalidRequestError:
    return InvalidRequestError(f"the body is not JSON: {problem}", reason=Reason.INVALID_JSON)


def _too_deep() -> InvalidRequestError:
    return InvalidRequestError(
        "the body is nested too deeply: no message of the protocol has more than a dozen levels",
        reason=Reason.TOO_DEEP_INPUT,
    )


def _check(kind: type[Message], document: dict[str, Any], path: str, *, values: bool = False) -> None:
    """Raise ``InvalidRequestError`` for the first field of ``document`` that ``kind`` does not take.

    Protobuf's own reader takes a list for a message, and both names of a field at once. With ``values`` it is also
    asked about each value, because it does not say where one is that it refuses.
    """
    fields, given = _fields(kind), dict[str, str]()
    for name, value in document.items():
        field = fields.get(name)
        if field is None:
            raise _unknown(kind, path + _shown_name(name))
        choice = field.name if field.containing_oneof is None else field.containing_oneof.name
        if choice in given:
            problem = f"{path}{name} and {path}{given[choice]} exclude each other: give one of them"
            raise InvalidRequestError(problem, reason=Reason.INVALID_FIELD, field=path + field.name)
        given[choice] = name
        if value is not None:
            _check_value(field, value, path + field.name, values=values)


def _check_value(field: FieldDescriptor, value: object, place: str, *, values: bool) -> None:
    if not _has_shape(field, value) or (values and field.message_type is None and not _fits(field, value)):
        raise _not_a_value(field, value, place)
    if field.message_type is None or _is_map(field):
        if values and not _fits(field, value):
            raise _not_a_value(field, value, place)
        return
    kind: type[Message] = GetMessageClass(field.message_type)
    for index, item in enumerate(value if isinstance(value, list) else [value]):
        inner = f"{place}[{index}]" if isinstance(value, list) else place
        if not isinstance(item, dict):
            raise _not_a_value(field, item, inner)
        _check(kind, item, f"{inner}.", values=values)


def _has_shape(field: FieldDescriptor, value: object) -> bool:
    """Return whether a value is a list where the field is one, an object where it is a message, and else neither."""
    if _is_list(field):
        return isinstance(value, list)
    if field.message_type is not None:
        return isinstance(value, dict)
    if field.enum_type is not None and isinstance(value, int | float):
        return -_LARGEST_ENUM <= value < _LARGEST_ENUM
    return not isinstance(value, list | dict)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


@cache
def _is_list(field: FieldDescriptor) -> bool:
    # Versions of protobuf differ in how a descriptor says that a field is repeated.
    return not _is_map(field) and hasattr(getattr(_owner(field)(), field.name), "extend")


def _fits(field: FieldDescriptor, value: object) -> bool:
    try:
        json_format.ParseDict({field.name: value}, _owner(field)())
    except _REFUSED:
        return False
    return True


def _owner(field: FieldDescriptor) -> type[Message]:
    containing: Any = field.containing_type  # None for extensions alone
    kind: type[Message] = GetMessageClass(containing)
    return kind


def _not_a_value(field: FieldDescriptor, value: object, place: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{place} is {_shown(value)}: expected {_expected(field)}", reason=Reason.INVALID_FIELD, field=place
    )


def _fields(kind: type[Message]) -> dict[str, FieldDescriptor]:
    """Return the fields by both of their names."""
    fields: Any = kind.DESCRIPTOR.fields  # in types that differ between versions of protobuf
    return {**{field.name: field for field in fields}, **{field.json_name: field for field in fields}}


def _unknown(kind: type[Message], place: str) -> InvalidRequestError:
    known = ", ".join(field.json_name for field in kind.DESCRIPTOR.fields) or "no fields"
    return InvalidRequestError(
        f"{place} is not a field: {kind.DESCRIPTOR.name} has {known}", reason=Reason.UNKNOWN_FIELD, field=place
    )


def _expected(field: FieldDescriptor) -> str:
    if _is_map(field):
        return "an object of texts by name"
    if field.message_type is not None:
        item = "an object"
    elif field.enum_type is not None:
        item = f"one of {', '.join(value.name for value in field.enum_type.values)}"
    else:
        item = _EXPECTED.get(field.cpp_type, "a value of its type")
    return f"a list, of {item} each" if _is_list(field) else item


def _shown_name(name: str) -> str:
    return name if name.isidentifier() and len(name) <= _SHOWN else _shown(name)


def _shown(value: object) -> str:
    """Return the value as JSON, in ASCII and of at most 100 characters."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
