"""The policy of searches: the choice of a search, and the directions that have a ranking."""

from __future__ import annotations

from typing import Final, TypeAlias

from whence.errors import MismatchError, NotFoundError
from whence.reasons import Reason
from whence.v1 import attribution_pb2
from whence_service.frontend.workers.placement import Generation

Search: TypeAlias = attribution_pb2.Search.ValueType

# Searches that use the gradient index, those that compare tokens, and those that score candidates exactly.
WITH_INDEX: Final = (
    attribution_pb2.SEARCH_UNION_RERANK,
    attribution_pb2.SEARCH_INDEX_RERANK,
    attribution_pb2.SEARCH_INDEX_ONLY,
)
BY_TOKENS: Final = (attribution_pb2.SEARCH_UNION_RERANK, attribution_pb2.SEARCH_TFIDF_RERANK)
RERANKED: Final = (*BY_TOKENS, attribution_pb2.SEARCH_INDEX_RERANK)
# Directions that have a ranking of positive, or of negative, influences.
POSITIVE: Final = (attribution_pb2.DIRECTION_POSITIVE, attribution_pb2.DIRECTION_BOTH)
NEGATIVE: Final = (attribution_pb2.DIRECTION_NEGATIVE, attribution_pb2.DIRECTION_BOTH)


def choose_search(generation: Generation, requested: Search, *, may_read: bool = True) -> Search:
    """Return the requested search or, if it is unspecified, the best that the generation supports.

    Which sequences share tokens with a query is only for callers who ``may_read`` texts. Raises
    :class:`~whence.errors.MismatchError` (``MISSING_INDEX``) for a search that needs an index if none is loaded.
    """
    has_index = bool(generation.id.index_digest)
    if requested == attribution_pb2.SEARCH_UNSPECIFIED:
        if not has_index:
            return attribution_pb2.SEARCH_FULL_SCAN
        return attribution_pb2.SEARCH_UNION_RERANK if may_read else attribution_pb2.SEARCH_INDEX_RERANK
    if requested in WITH_INDEX and not has_index:
        raise MismatchError(
            f"the workers of {generation.id.model!r} have no gradient index; build one with `whence index` and start "
            "them with --index; attribution alone can do without one, as SEARCH_FULL_SCAN",
            reason=Reason.MISSING_INDEX,
            model=generation.id.model,
        )
    return requested


def require_matches(sequences: int, selection: attribution_pb2.Filter | None) -> None:
    """Raise :class:`~whence.errors.NotFoundError` if a filter selects none of the corpus's sequences."""
    if selection is not None and not sequences:
        raise no_matches()


def no_matches() -> NotFoundError:
    """Return the error of a filter that selects no sequence."""
    return NotFoundError(
        "the filter lets no sequence of the corpus through; check the spelling of its sources, metadata and ids: a "
        "sequence must have all that is asked",
        reason=Reason.MATCHES_NOT_FOUND,
    )
