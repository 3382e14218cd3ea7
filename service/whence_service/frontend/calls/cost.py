"""The cost of a request: the most sequences that are scored for it, which is known before it runs."""

from __future__ import annotations

from whence.v1 import attribution_pb2
from whence_service.frontend.request.checked import (
    CheckedRequest,
    GroupOptions,
    OverlapOptions,
    ScoreOptions,
    SearchOptions,
    SelfInfluenceOptions,
)
from whence_service.frontend.search.policy import WITH_INDEX, choose_search
from whence_service.frontend.workers.placement import Generation


def cost_of(request: CheckedRequest[object], generation: Generation) -> int:
    """Return the number of sequences, of the corpus or given ones, that are scored exactly; a filter may save some.

    Raises :class:`~whence.errors.MismatchError` as :func:`~whence_service.frontend.search.policy.choose_search` does.
    """
    corpus = sum(size for shard, size in generation.sizes.items() if generation.shards.get(shard))
    match request.options:
        case SearchOptions() as options:
            search = choose_search(generation, options.search)
            if search == attribution_pb2.SEARCH_FULL_SCAN:
                return corpus
            if search == attribution_pb2.SEARCH_INDEX_ONLY:
                return 0
            directions = 2 if options.direction == attribution_pb2.DIRECTION_BOTH else 1
            opposite = len(request.queries) if search in WITH_INDEX and directions == 1 else 0
            noise = options.noise_sample * (1 + opposite)
            return min(corpus, options.candidates * directions * len(request.queries) + noise)
        case GroupOptions() as options:
            return min(corpus, options.samples)
        case OverlapOptions():
            return 0
        case ScoreOptions() | SelfInfluenceOptions() as options:
            return len(options.sequences)
    raise TypeError(f"nothing is known of the cost of {type(request.options).__name__}")
