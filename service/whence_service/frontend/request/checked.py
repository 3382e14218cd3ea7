"""A checked request: its queries, its options with defaults filled in, and its field names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from whence.v1 import attribution_pb2, attribution_service_pb2, query_pb2

O_co = TypeVar("O_co", covariant=True)


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """The search, and the details of each hit that the answer has.

    An unspecified ``search`` stands for the best that the model supports; ``filter`` selects sequences of the corpus,
    ``None`` all. So many sequences are drawn and scored for the noise: ``noise_sample``. ``stop_at_recall`` is the
    expected recall that is enough, 1 for none.
    """

    top_k: int
    direction: attribution_pb2.Direction.ValueType
    include_layers: bool
    include_tokens: bool
    search: attribution_pb2.Search.ValueType
    candidates: int
    filter: attribution_pb2.Filter | None
    significant_only: bool = False
    noise_sample: int = 0
    stop_at_recall: float = 1.0


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """The sequences whose influence is computed, and their field names in the request."""

    sequences: tuple[attribution_service_pb2.SequenceSelector, ...]
    fields: tuple[str, ...]
    include_layers: bool = False


@dataclass(frozen=True, kw_only=True)
class SelfInfluenceOptions:
    """Given sequences, or none for those of the corpus that ``filter`` selects.

    A ``top_k`` of 0 stands for all given sequences.
    """

    sequences: tuple[attribution_service_pb2.SequenceSelector, ...]
    fields: tuple[str, ...]
    top_k: int
    filter: attribution_pb2.Filter | None


@dataclass(frozen=True, kw_only=True)
class GroupOptions:
    """The field that groups sequences, the size and seed of the exact sample, and the sequences that count."""

    group_by: str
    samples: int
    seed: int
    filter: attribution_pb2.Filter | None


@dataclass(frozen=True, kw_only=True)
class OverlapOptions:
    """The length in tokens of the n-grams that are compared."""

    ngram: int


@dataclass(frozen=True, kw_only=True)
class CheckedRequest(Generic[O_co]):
    """A request that passed every check that needs no worker and no model.

    ``query_fields`` and ``layers_field`` are where the caller's message has the queries and the layers.
    ``damping_factor`` is ``None`` for the model's own; ``layers`` are names or patterns, none for all; ``query_rank``
    is ``None`` for the server's choice and 0 for whole gradients. ``partial``: shards that cannot be reached may be
    missing from the answer.
    """

    model: str
    queries: tuple[query_pb2.Query, ...] = ()
    query_fields: tuple[str, ...] = ()
    damping_factor: float | None = None
    layers: tuple[str, ...] = ()
    layers_field: str = "layers"
    query_rank: int | None = None
    partial: bool = False
    options: O_co
