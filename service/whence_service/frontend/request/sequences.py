"""Checks of the training sequences, or texts of the caller's own, that a request names."""

from __future__ import annotations

from collections.abc import Sequence

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.v1 import attribution_service_pb2
from whence_service.frontend.request.limits import RequestLimits
from whence_service.frontend.request.queries import check_messages, check_text


def check_sequences(selectors: Sequence[attribution_service_pb2.SequenceSelector], limits: RequestLimits) -> None:
    """Check the ``sequences`` of a Score request, their number included."""
    if not selectors:
        raise InvalidRequestError(
            "the request has no sequences; send at least one", reason=Reason.MISSING_SEQUENCES, field="sequences"
        )
    if len(selectors) > limits.max_score_sequences:
        raise InvalidRequestError(
            f"the request has {len(selectors)} sequences; this server takes at most "
            f"{limits.max_score_sequences} at once",
            reason=Reason.TOO_MANY_SEQUENCES,
            field="sequences",
            max_score_sequences=limits.max_score_sequences,
        )
    for number, selector in enumerate(selectors):
        check_sequence(selector, f"sequences[{number}]")


def check_sequence(selector: attribution_service_pb2.SequenceSelector, field: str = "sequence") -> None:
    """Check one sequence selector; ``field`` is where the request has it."""
    kind = selector.WhichOneof("selector")
    if kind is None:
        raise InvalidRequestError(
            "the sequence is not given; set one of sequence_id, text, completion and chat",
            reason=Reason.MISSING_SEQUENCE_REFERENCE,
            field=f"{field}.selector",
        )
    if kind == "completion":
        check_text(selector.completion, f"{field}.completion")
    elif kind == "chat":
        check_messages(selector.chat, f"{field}.chat")
    elif not getattr(selector, kind):
        raise InvalidRequestError(
            f"the sequence's {kind} is empty", reason=Reason.EMPTY_SEQUENCE_REFERENCE, field=f"{field}.{kind}"
        )
