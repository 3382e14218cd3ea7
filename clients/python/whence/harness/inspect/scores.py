"""Scores made of answers and of failures. What they hold is bounded, because it goes into the log of every sample."""

from __future__ import annotations

from typing import Any, Final

from inspect_ai.scorer import Score

from whence.display.wording import number, percent
from whence.errors import WhenceError
from whence.reasons import Reason
from whence.results import Attribution, Hit
from whence.terminal import printable

MAX_HITS: Final = 50
MAX_WARNINGS: Final = 20
MAX_CHARACTERS: Final = 240
_ROWS: Final = 10
_ROW_CHARACTERS: Final = 72
_NO_RESPONSE: Final = (Reason.EMPTY_COMPLETION, Reason.EMPTY_CONVERSATION)


def score_of(answer: Attribution) -> Score:
    """Return the score of an answer: the signal of the first hit, in nats, or its influence where noise is unknown."""
    metadata = _metadata(answer)
    if not answer.positive:
        explanation = "No training sequence made the output more likely, of those that were asked about."
        return Score.unscored(reason="no_hits", explanation=explanation, metadata=metadata)
    first = answer.positive[0]
    return Score(
        value=first.influence if first.signal is None else first.signal,
        answer=_short(first.sequence_id),
        explanation=table(answer),
        metadata={"value": "influence" if first.signal is None else "signal", **metadata},
    )


def failure(error: WhenceError) -> Score:
    """Return the score of a sample that has no answer; it counts in no metric."""
    message = _short(error.message)
    return Score.unscored(
        reason="no_response" if error.reason in _NO_RESPONSE else "scoring_failed",
        explanation=f"Not attributed: {message}",
        metadata={
            "error": {"reason": str(error.reason), "message": message, "request_id": error.details.get("request_id")}
        },
    )


def table(answer: Attribution) -> str:
    """Return the first hits as lines of plain text."""
    lines = [f"{'rank':>4}  {'influence':>9}  {'signal':>9}  {'sure':>5}  source: sequence, text"]
    for hit in answer.positive[:_ROWS]:
        signal = "" if hit.signal is None else number(hit.signal)
        sure = "" if hit.significance is None else percent(hit.significance)
        text = f"{hit.source or '-'}: {hit.sequence_id}, {_short(hit.text, _ROW_CHARACTERS)}"
        lines.append(f"{hit.rank:>4}  {number(hit.influence):>9}  {signal:>9}  {sure:>5}  {_short(text)}")
    if len(answer.positive) > _ROWS:
        lines.append(f"… and {len(answer.positive) - _ROWS} more")
    return "\n".join(lines)


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
            "certificate": _short(source.certificate.sentence),
        },
        "hits": [_hit(hit) for hit in answer.positive[:MAX_HITS]],
        "warnings": [_short(f"{warning.code}: {warning.message}") for warning in answer.warnings[:MAX_WARNINGS]],
        "log_likelihood": answer.log_likelihood,
        "completion_tokens": answer.completion_tokens,
        "significant": answer.positive_significant,
        "recall": answer.positive_recall.recall if answer.positive_recall else None,
        "influence_unit": answer.influence_unit,
        "request_id": answer.request_id,
    }


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        "id": _short(hit.sequence_id),
        "source": _short(hit.source),
        "influence": hit.influence,
        "signal": hit.signal,
        "significance": hit.significance,
        "excerpt": _short(hit.text),
    }


def _short(text: str, limit: int = MAX_CHARACTERS) -> str:
    shown = printable(text)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"
