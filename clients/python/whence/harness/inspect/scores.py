"""Scores made of answers and of failures. What they hold is bounded, because it goes into the log of every sample."""

from __future__ import annotations

from typing import Any, Final

from inspect_ai.scorer import Score

from whence.errors import WhenceError
from whence.harness.inspect.tables import markdown, short
from whence.reasons import Reason
from whence.results import Attribution, Hit

MAX_HITS: Final = 50
MAX_WARNINGS: Final = 20
_DIGITS: Final = 4
_NO_RESPONSE: Final = (Reason.EMPTY_COMPLETION, Reason.EMPTY_CONVERSATION)


def score_of(answer: Attribution) -> Score:
    """Return the score of an answer: the signal of the first hit, in nats, or its influence where noise is unknown.

    It has four digits, because the log viewer shows all that there are; the metadata's hits have every digit.
    """
    metadata = _metadata(answer)
    if not answer.positive:
        explanation = "No training sequence made the output more likely, of those that were asked about."
        return Score.unscored(reason="no_hits", explanation=explanation, metadata=metadata)
    first = answer.positive[0]
    value = first.influence if first.signal is None else first.signal
    return Score(
        value=float(f"{value:.{_DIGITS}g}"),
        answer=short(first.sequence_id),
        explanation=markdown(answer),
        metadata={"value": "influence" if first.signal is None else "signal", **metadata},
    )


def failure(error: WhenceError) -> Score:
    """Return the score of a sample that has no answer; it counts in no metric."""
    message = short(error.message)
    return Score.unscored(
        reason="no_response" if error.reason in _NO_RESPONSE else "scoring_failed",
        explanation=f"Not attributed: {message}",
        metadata={
            "error": {"reason": str(error.reason), "message": message, "request_id": error.details.get("request_id")}
        },
    )


def _metadata(answer: Attribution) -> dict[str, Any]:
    source = answer.provenance
    return {
        "provenance": {
            "model": source.model,
            "model_digest": source.model_digest,
            "factors_digest": source.factors_digest,
            "corpus_digest": source.corpus_digest,
            "index_digest": source.index_digest,
            "damping_factor": source.damping_factor,
            "training_set_size": source.training_set_size,
            "engine": source.engine,
            "certificate": short(source.certificate.sentence),
        },
        "hits": [_hit(hit) for hit in answer.positive[:MAX_HITS]],
        "warnings": [short(f"{warning.code}: {warning.message}") for warning in answer.warnings[:MAX_WARNINGS]],
        "log_likelihood": answer.log_likelihood,
        "completion_tokens": answer.completion_tokens,
        "significant": answer.positive_significant,
        "recall": answer.positive_recall.recall if answer.positive_recall else None,
        "influence_unit": answer.influence_unit,
        "request_id": answer.request_id,
    }


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        "id": short(hit.sequence_id),
        "source": short(hit.source),
        "influence": hit.influence,
        "signal": hit.signal,
        "significance": hit.significance,
        "excerpt": short(hit.text),
    }
