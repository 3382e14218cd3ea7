"""The bounds of a request, which are checked on its bytes before it is parsed.

A parsed message takes up to thirty times the memory of its bytes (an empty message in a list is two bytes on the wire),
and a tokenized text many times that of its own. The bytes are therefore walked first, guided by the message's
descriptor. A request that is too short to exceed any bound is parsed at once: the walk takes some 30 µs, parsing less
than one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from whence.errors import InvalidRequestError
from whence.reasons import Reason

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MOST_VARINT_BYTES: Final = 10
_MOST_DEPTH: Final = 100  # the limit of protobuf itself

# Damping factors: beyond these, sums of eigenvalue and damping, or quotients by them, exceed the range of float32.
LEAST_DAMPING: Final = 1e-12
MOST_DAMPING: Final = 1e12

# Messages that are bounded as a whole, all of their fields together: texts to tokenize, and filters, which are kept.
_TEXTS: Final = ("whence.v1.Query", "whence.v1.SequenceSelector", "whence.worker.v1.SequenceReference")
_FILTERS: Final = ("whence.v1.Filter",)


class Deserializer(Protocol):
    """The function that generated code gives gRPC to parse with: ``SomeRequest.FromString``."""

    def __call__(self, data: bytes, /) -> Any:  # noqa: ANN401
        """Return the message."""
        ...


@dataclass(frozen=True, kw_only=True)
class RequestBounds:
    """The limits of one request.

    ``max_text_bytes`` bounds a query, or a training sequence given as text, as a whole; ``max_filter_bytes`` a filter;
    ``max_name_bytes`` every other text. ``max_fields`` bounds the number of set fields, including those of each message
    in a list, and thereby the memory for parsing.
    """

    max_text_bytes: int = 4 << 20
    max_filter_bytes: int = 1 << 16
    max_name_bytes: int = 4096
    max_fields: int = 100_000

    @property
    def always_within_bytes(self) -> int:
        """The size up to which a request cannot exceed any bound, since a field takes at least one byte."""
        return min(self.max_text_bytes, self.max_filter_bytes, self.max_name_bytes, self.max_fields)


def parse(data: bytes, deserializer: Deserializer | None, bounds: RequestBounds) -> Any:  # noqa: ANN401
    """Return the request that ``data`` encodes, or the bytes themselves where there is no deserializer.

    Raises :class:`~whence.errors.InvalidRequestError` for bytes that are no such message (``INVALID_MESSAGE``) and for
    one that holds too much (``TOO_LARGE_TEXT``, ``TOO_LARGE_FILTER``, ``TOO_LARGE_NAME``, ``TOO_MANY_FIELDS``), before
    anything is made of it.
    """
    if deserializer is None:
        return data
    descriptor = getattr(getattr(deserializer, "__self__", None), "DESCRIPTOR", None)
    if not isinstance(descriptor, Descriptor):
        return deserializer(data)
    if len(data) > bounds.always_within_bytes:
        _Walk(data, descriptor, bounds).message(descriptor, 0, len(data), "", whole=False)
    try:
        return deserializer(data)
    except DecodeError as error:
        raise _malformed(descriptor) from error


@dataclass(frozen=True, kw_only=True)
class _Field:
    """The properties of a field that the walk needs."""

    name: str
    repeated: bool
    is_text: bool
    message: Descriptor | None

    @property
    def type_name(self) -> str:
        return "" if self.message is None else self.message.full_name


class _Walk:
    """A walk over the bytes of a message. State: the number of fields so far."""

    def __init__(self, data: bytes, root: Descriptor, bounds: RequestBounds) -> None:
        self._data = data
        self._root = root
        self._bounds = bounds
        self._count = 0

    def message(self, descriptor: Descriptor, at: int, end: int, path: str, *, whole: bool, depth: int = 0) -> None:
        """Check the message from ``at`` to ``end``. ``whole``: a message that it is part of is bounded as a whole."""
        if depth > _MOST_DEPTH:
            raise _malformed(self._root)
        fields, seen, spent = _fields(descriptor), Counter[int](), Counter[int]()
        while at < end:
            tag, at = self._varint(at, end)
            number, kind = tag >> 3, tag & 7
            field = fields.get(number)
            self._one_more(path)
            if kind == _LENGTH:
                size, at = self._varint(at, end)
                if size > end - at:
                    raise _malformed(self._root)
                if field is not None:
                    place = f"{path}.{field.name}" if path else field.name
                    place = f"{place}[{seen[number]}]" if field.repeated else place
                    # Repeated occurrences of a field that is not a list are merged.
                    spent[number] = size if field.repeated else spent[number] + size
                    self._check(field, spent[number], place, whole=whole)
                    if field.message is not None:
                        inside = whole or field.type_name in _TEXTS
                        self.message(field.message, at, at + size, place, whole=inside, depth=depth + 1)
                at += size
            else:
                at = self._skipped(kind, at, end)
            seen[number] += 1

    def _check(self, field: _Field, size: int, path: str, *, whole: bool) -> None:
        """Check the size of a field."""
        bounds = self._bounds
        if field.is_text and not whole and size > bounds.max_name_bytes:
            raise _too_large(Reason.TOO_LARGE_NAME, path, size, bounds.max_name_bytes)
        if field.type_name in _TEXTS and size > bounds.max_text_bytes:
            raise too_large_text(path, size, bounds.max_text_bytes)
        if field.type_name in _FILTERS and size > bounds.max_filter_bytes:
            raise _too_large(Reason.TOO_LARGE_FILTER, path, size, bounds.max_filter_bytes)

    def _one_more(self, path: str) -> None:
        """Count a field."""
        self._count += 1
        if self._count > self._bounds.max_fields:
            raise InvalidRequestError(
                f"the request has more than {self._bounds.max_fields} fields, those of each message in a list counted "
                f"(it came to that in {path or 'itself'}); send less at once",
                reason=Reason.TOO_MANY_FIELDS,
                field=path,
                max_fields=self._bounds.max_fields,
            )

    def _skipped(self, kind: int, at: int, end: int) -> int:
        """Return the end of a field that has no length."""
        if kind == _VARINT:
            return self._varint(at, end)[1]
        width = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if width is None or width > end - at:
            raise _malformed(self._root)
        return at + width

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        """Return a varint and its end."""
        value = 0
        for place in range(_MOST_VARINT_BYTES):
            if at >= end:
                break
            byte = self._data[at]
            at += 1
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return value, at
        raise _malformed(self._root)


@lru_cache(maxsize=256)
def _fields(descriptor: Descriptor) -> Mapping[int, _Field]:
    """Return the fields of a message by number."""
    return {
        field.number: _Field(
            name=field.name,
            repeated=field.default_value == [],  # works in every supported version of protobuf
            is_text=field.type == FieldDescriptor.TYPE_STRING,
            message=field.message_type,
        )
        for field in descriptor.fields
    }


def too_large_text(path: str, got: int, most: int) -> InvalidRequestError:
    """Return the error for a text that is too long to tokenize."""
    return _too_large(Reason.TOO_LARGE_TEXT, path, got, most)


def _malformed(descriptor: Descriptor) -> InvalidRequestError:
    return InvalidRequestError(
        f"the bytes that arrived are no {descriptor.full_name}; send that message, with texts in UTF-8, from stubs of "
        "this server's own protocol",
        reason=Reason.INVALID_MESSAGE,
        expected=descriptor.full_name,
    )


def _too_large(reason: str, path: str, got: int, most: int) -> InvalidRequestError:
    return InvalidRequestError(
        f"{path} has {got} bytes, with all that it consists of; this server takes at most {most}: send less",
        reason=reason,
        field=path,
        bytes=got,
        max_bytes=most,
    )
