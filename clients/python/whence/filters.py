"""Filters of training sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from whence._messages import build
from whence.v1 import attribution_pb2


@dataclass(frozen=True, kw_only=True)
class Filter:
    """A filter of training sequences. Every condition that is not empty must hold.

    The source is one of ``sources``. The metadata has each value of ``metadata``, or a list with it. The document's id
    sorts, as text, from ``first_document_id`` to ``last_document_id``, both included.

    A name of metadata reaches into objects, as in ``a.b``. The text ``"1908"`` matches that text and every number equal
    to it, ``"true"`` that text and the truth value, a text in double quotes of its own only that text, and ``""``
    sequences without a value. So the name of a group of :meth:`whence.Client.group_influence` matches that group.
    """

    sources: Sequence[str] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    first_document_id: str = ""
    last_document_id: str = ""

    def to_proto(self) -> attribution_pb2.Filter:
        """Return the message."""
        return build(
            attribution_pb2.Filter,
            "filter",
            sources=self.sources,
            metadata=self.metadata,
            first_document_id=self.first_document_id,
            last_document_id=self.last_document_id,
        )
