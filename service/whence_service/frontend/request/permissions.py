"""What a request may ask of training data if its caller may not read it."""

from __future__ import annotations

from typing import Final

from whence.errors import ForbiddenError
from whence.reasons import Reason
from whence.v1 import attribution_pb2
from whence_service.frontend.request.checked import (
    CheckedRequest,
    GroupOptions,
    OverlapOptions,
    SearchOptions,
    SelfInfluenceOptions,
)
from whence_service.rpc.identity import Identity, Scope

# Conditions and groupings by ids alone. All others would tell, hit by hit, what is in a text or in its metadata.
_CONDITIONS: Final = frozenset({"first_document_id", "last_document_id"})
_GROUPINGS: Final = frozenset({"document"})
_BY_TOKENS: Final = (attribution_pb2.SEARCH_TFIDF_RERANK, attribution_pb2.SEARCH_UNION_RERANK)


def check_texts(request: CheckedRequest[object], identity: Identity) -> None:
    """Raise :class:`~whence.errors.ForbiddenError` (``MISSING_SCOPE``) for a request that reads training data.

    Those are filters by source or metadata, groups by them, the search by tokens and the overlap with texts: answers
    without texts would still say which sequences have what was asked for, and a text could be guessed word by word.
    """
    if identity.may(Scope.READ_TEXTS):
        return
    options = request.options
    if isinstance(options, SearchOptions | SelfInfluenceOptions | GroupOptions) and options.filter is not None:
        others = {field.name for field, _ in options.filter.ListFields()} - _CONDITIONS
        if others:
            raise _missing(f"a filter by {' and '.join(sorted(others))}", "filter by document ids alone")
    if isinstance(options, SearchOptions) and options.search in _BY_TOKENS:
        raise _missing("a search by tokens", "ask for another search")
    if isinstance(options, OverlapOptions):
        raise _missing("the overlap with training texts", "ask for influences alone")
    if isinstance(options, GroupOptions) and options.group_by not in _GROUPINGS:
        raise _missing("a grouping by anything but documents", 'group by "document"')


def _missing(what: str, instead: str) -> ForbiddenError:
    return ForbiddenError(
        f"{what} needs the scope {Scope.READ_TEXTS.value!r}, which these credentials lack; {instead}, or ask whoever "
        "runs the server for the scope",
        reason=Reason.MISSING_SCOPE,
        scope=Scope.READ_TEXTS.value,
    )
