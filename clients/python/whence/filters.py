"""Which training sequences an attribution looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from whence._messages import build
from whence.v1 import attribution_pb2


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which training sequences count: those of which everything here is true. What is empty is true of all.

    Their source is one of ``sources``; their metadata has each value of ``metadata``, or has it in a list; their
    document's id sorts, as text, from ``first_document_id`` to ``last_document_id``, both included.

    A name of metadata reaches into objects, as ``a.b``. The text ``"1908"`` asks for that text and for every number
    that equals it, ``"true"`` for that text and the truth value, a text in double quotes of its own for nothing else,
    and ``""`` for no value. So each group's name of :meth:`whence.Client.group_influence` asks for that group.
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
