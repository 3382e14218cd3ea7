"""The messages of one type inside another message, however deep."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TypeVar

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)


def parts_of(message: Message, kind: type[M]) -> Iterator[M]:
    """Yield every message of that kind in ``message``, itself included; not those inside of them."""
    if isinstance(message, kind):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None and _leads_to(field.message_type, kind.DESCRIPTOR.full_name):
            for part in (value,) if isinstance(value, Message) else value:
                yield from parts_of(part, kind)


@cache
def _leads_to(descriptor: Descriptor, name: str, above: frozenset[str] = frozenset()) -> bool:
    own = descriptor.full_name
    return own == name or (
        own not in above
        and any(
            _leads_to(field.message_type, name, above | {own})
            for field in descriptor.fields
            if field.message_type is not None
        )
    )
