"""The queries and training sequences of a request, each of which can be given in several ways."""

from __future__ import annotations

from collections.abc import Sequence

from whence._messages import build
from whence.errors import InvalidRequestError
from whence.examples import TrainingExample
from whence.queries import Query
from whence.reasons import Reason
from whence.v1 import attribution_service_pb2


def one_query(query: Query | None, prompt: str, completion: str | None) -> Query:
    """Return the query, given as such or as text. Raises ``InvalidRequestError`` for none or for both."""
    if query is not None and completion is None and not prompt:
        return query
    if query is None and completion is not None:
        return Query.text(prompt, completion)
    got = "both a query and a prompt or completion" if query is not None else "neither a query nor a completion"
    raise InvalidRequestError(
        f"got {got}: give prompt= and completion=, or a whence.Query",
        reason=Reason.MISSING_QUERY_INPUT,
        field="query",
    )


def one_or_more_queries(
    queries: Query | Sequence[Query] | None, prompt: str = "", completion: str | None = None
) -> tuple[Query, ...]:
    """Return the queries that were given, either way. Raises ``InvalidRequestError`` for none or for both."""
    if queries is None or isinstance(queries, Query):
        return (one_query(queries, prompt, completion),)
    if not queries or completion is not None or prompt:
        raise InvalidRequestError(
            "give at least one query, or prompt= and completion=", reason=Reason.MISSING_QUERIES, field="queries"
        )
    return tuple(queries)


def selectors(
    sequence_ids: Sequence[str], texts: Sequence[str], examples: Sequence[TrainingExample] = ()
) -> list[attribution_service_pb2.SequenceSelector]:
    """Return the sequences: ids, then texts, then examples. Raises ``InvalidRequestError`` for none."""
    if isinstance(sequence_ids, str) or isinstance(texts, str) or isinstance(examples, TrainingExample):
        raise InvalidRequestError(
            "sequence_ids, texts and examples are lists: write sequence_ids=[…]",
            reason=Reason.INVALID_SEQUENCES,
            field="sequences",
        )
    given = [_selector(f"sequences[{place}]", sequence_id=name) for place, name in enumerate(sequence_ids)]
    given += [_selector(f"sequences[{place}]", text=text) for place, text in enumerate(texts, len(given))]
    given += [example.to_proto(f"sequences[{place}]") for place, example in enumerate(examples, len(given))]
    if not given:
        raise InvalidRequestError(
            "no training sequences: give sequence_ids=, texts= or examples=",
            reason=Reason.MISSING_SEQUENCES,
            field="sequences",
        )
    return given


def one_selector(
    sequence_id: str | None, text: str | None, example: TrainingExample | None = None
) -> attribution_service_pb2.SequenceSelector:
    """Return the sequence, given as id, text or example. Raises ``InvalidRequestError`` unless exactly one is given."""
    if sum(given is not None for given in (sequence_id, text, example)) != 1:
        raise InvalidRequestError(
            "give one of sequence_id= (a sequence of the corpus), text= (any text) and example= (with its mask)",
            reason=Reason.MISSING_SEQUENCES,
            field="sequence",
        )
    if example is not None:
        return example.to_proto("sequence")
    return _selector("sequence", sequence_id=sequence_id) if text is None else _selector("sequence", text=text)


def _selector(path: str, **given: str | None) -> attribution_service_pb2.SequenceSelector:
    return build(attribution_service_pb2.SequenceSelector, path, **given)
