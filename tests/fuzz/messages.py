"""Messages of any type: a Hypothesis strategy that follows the protocol's own descriptors.

Most messages keep to what the server knows (its model, its sequences) and differ in the rest: a request of noise alone
is refused by the first check, and the code behind it never runs.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

_MOST_ITEMS: Final = 3
_MOST_DEPTH: Final = 6
_INTEGERS: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_TEXTS: Final = ("", "the keeper lit ", "the lamp", "tale", "year", "user", "assistant", "{}", "[]", "\x00", ".*")


def messages(kind: Descriptor, known: Mapping[str, Any]) -> st.SearchStrategy[Message]:
    """Messages of a type. ``known`` has values by the name of a field, which three in four messages keep to."""
    return st.integers(0, 3).flatmap(lambda wild: _messages(kind, known if wild else {}, wild == 0, 0))


def _messages(kind: Descriptor, known: Mapping[str, Any], wild: bool, depth: int) -> st.SearchStrategy[Message]:
    @st.composite
    def message(draw: st.DrawFn) -> Message:
        made = GetMessageClass(kind)()
        if depth >= _MOST_DEPTH:
            return made
        choice = {oneof.name: draw(st.sampled_from(list(oneof.fields))) for oneof in kind.oneofs}
        for field in kind.fields:
            chosen = field.containing_oneof is None or choice[field.containing_oneof.name] is field
            likely = _likely(field, known)
            if chosen and (likely or draw(st.integers(0, 3)) >= (1 if wild else 3)):
                values = st.sampled_from(likely) if likely else _anything(field, known, wild, depth)
                _set(made, field, draw(st.lists(values, min_size=1, max_size=_MOST_ITEMS)))
        return made

    return message()


def _likely(field: FieldDescriptor, known: Mapping[str, Any]) -> list[Any]:
    """The known values that such a field can have: names are used for more than one type."""
    values = known.get(field.name, ())
    if field.message_type is not None:
        return [value for value in values if isinstance(value, Message) and value.DESCRIPTOR is field.message_type]
    kinds = {FieldDescriptor.TYPE_BYTES: bytes, FieldDescriptor.TYPE_STRING: str, FieldDescriptor.TYPE_DOUBLE: float}
    kind = kinds.get(field.type, int)
    return [value for value in values if type(value) is kind]


def _set(made: Message, field: FieldDescriptor, values: list[Any]) -> None:
    """Set a field to the values, or to the first of them where it is no list."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        # On the wire a map is a list of entries.
        for entry in values:
            data = entry.SerializeToString()
            made.MergeFromString(bytes([field.number << 3 | 2]) + _varint(len(data)) + data)
    elif field.is_repeated:
        getattr(made, field.name).extend(values)
    elif field.message_type is not None:
        getattr(made, field.name).CopyFrom(values[0])
    else:
        setattr(made, field.name, values[0])


def _anything(field: FieldDescriptor, known: Mapping[str, Any], wild: bool, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return _messages(field.message_type, known, wild, depth + 1)
    if field.enum_type is not None:
        return st.one_of(st.sampled_from([value.number for value in field.enum_type.values]), st.integers(0, 99))
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return st.floats(allow_subnormal=True)
        case FieldDescriptor.CPPTYPE_FLOAT:
            return st.floats(width=32)
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return st.binary(max_size=64)
        case FieldDescriptor.CPPTYPE_STRING:
            return st.one_of(st.sampled_from(_TEXTS), st.text(max_size=30))
    least, most = _INTEGERS[field.cpp_type]
    return st.one_of(st.integers(0, 20), st.integers(least, most), st.sampled_from([least, most]))


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The bytes of a message with one thing wrong: some flipped, cut, repeated, lengthened, or nested in themselves."""
    at = chance.randrange(len(data) + 1)
    match chance.randrange(7):
        case 0:
            flipped = bytearray(data or b"\x00")
            for _ in range(chance.randrange(1, 4)):
                flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
            return bytes(flipped)
        case 1:
            return data[:at]
        case 2:
            return data[:at] + chance.randbytes(chance.randrange(1, 9)) + data[at:]
        case 3:
            return data[:at] + data[at // 2 :]
        case 4:  # a field whose length is a lie
            return data[:at] + bytes([chance.randrange(1, 16) << 3 | 2]) + _varint(chance.randrange(2**35)) + data[at:]
        case 5:
            for _ in range(chance.randrange(1, 40)):
                data = bytes([chance.randrange(1, 16) << 3 | 2]) + _varint(len(data)) + data
            return data
    return chance.randbytes(chance.randrange(64))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
