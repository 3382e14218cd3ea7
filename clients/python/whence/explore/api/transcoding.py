"""Messages as JSON and back, by protobuf's JSON mapping: what is not a message is refused, and the field named."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from whence.errors import InvalidRequestError
from whence.reasons import Reason

M = TypeVar("M", bound=Message)

_SHOWN: Final = 100
_REFUSED: Final = (json_format.ParseError, TypeError, ValueError, AttributeError, OverflowError)
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
    ``UNKNOWN_FIELD`` and ``INVALID_FIELD`` for JSON that is not the message.
    """
    document = _parse(body) if body.strip() else {}
    if not isinstance(document, dict):
        raise InvalidRequestError(
            f"the body is {_shown(document)}: expected an object, such as {{}}", reason=Reason.INVALID_JSON
        )
    try:
        return json_format.ParseDict(document, kind())
    except RecursionError:
        raise _too_deep() from None
    except _REFUSED as error:
        _refuse(kind, document, "")
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
    try:
        return json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_refuse_constant)
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        raise _not_json(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except ValueError:  # more digits than Python reads
        raise _not_json("a number in it has thousands of digits") from None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, value in pairs:
        if name in document:
            raise _not_json(f"an object has {_shown(name)} twice")
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


def _refuse(kind: type[Message], document: dict[str, Any], path: str) -> None:
    """Raise ``InvalidRequestError`` for the first field of ``document`` that ``kind`` does not take."""
    for name, value in document.items():
        if _fits(kind, name, value):
            continue
        field = _fields(kind).get(name)
        if field is None:
            raise _unknown(kind, path + _shown_name(name))
        place = path + field.name
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            items = enumerate(value) if isinstance(value, list) else [(None, value)]
            for index, item in items:
                if isinstance(item, dict):
                    inner = place if index is None else f"{place}[{index}]"
                    _refuse(GetMessageClass(field.message_type), item, f"{inner}.")
        raise InvalidRequestError(
            f"{place} is {_shown(value)}: expected {_expected(field)}", reason=Reason.INVALID_FIELD, field=place
        )
    _refuse_pairs(kind, document, path)


def _refuse_pairs(kind: type[Message], document: dict[str, Any], path: str) -> None:
    """Raise ``InvalidRequestError`` for two fields of which one excludes the other, or which are the same."""
    given: dict[str, str] = {}
    for name in document:
        field = _fields(kind)[name]
        choice = field.name if field.containing_oneof is None else field.containing_oneof.name
        if choice in given:
            raise InvalidRequestError(
                f"{path}{name} excludes {given[choice]}: give one of them",
                reason=Reason.INVALID_FIELD,
                field=path + field.name,
            )
        given[choice] = name


def _fits(kind: type[Message], name: str, value: object) -> bool:
    try:
        json_format.ParseDict({name: value}, kind())
    except _REFUSED:
        return False
    return True


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
    if field.message_type is not None:
        return "an object, or a list of them where the field is repeated"
    if field.enum_type is not None:
        return f"one of {', '.join(value.name for value in field.enum_type.values)}"
    return _EXPECTED.get(field.cpp_type, "a value of its type")


def _shown_name(name: str) -> str:
    return name if name.isidentifier() and len(name) <= _SHOWN else _shown(name)


def _shown(value: object) -> str:
    """Return the value as JSON, in ASCII and of at most 100 characters."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
