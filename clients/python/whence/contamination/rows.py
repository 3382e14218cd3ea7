"""The table of a run: a row for each item, with its evidence and, set against clean items, its scores."""

from __future__ import annotations

from typing import Any, Final

from whence.bulk.rows import QueryRow
from whence.bulk.tables import Columns
from whence.contamination.calibration import Tail
from whence.contamination.evidence import Evidence
from whence.contamination.items import CLEAN
from whence.errors import WhenceError

# The kinds of evidence that are scored, each by the column that has its value.
OVERLAP: Final = "overlap"
INFLUENCE: Final = "influence_score"
NEAREST: Final = "nearest_score"
LIKELIHOOD: Final = "token_log_likelihood"
# The columns of scores, by those of the values that they are scores of.
SCORED: Final = {
    OVERLAP: "overlap_p",
    INFLUENCE: "influence_p",
    NEAREST: "nearest_p",
    LIKELIHOOD: "likelihood_p",
}
_INTEGERS: Final = (
    "row", "tokens", "ngram", "ngrams", "shared_ngrams", "longest_run", "sequences", "nearest_rank",
    "completion_tokens",
)  # fmt: skip
_TEXTS: Final = (
    "query_id", "nearest_id", "nearest_source", "nearest_text", "top_id", "top_source", "top_text", "error",
)  # fmt: skip
_NUMBERS: Final = (
    "overlap", "nearest_influence", "nearest_score", "log_likelihood", "token_log_likelihood", "influence_score",
    "top_influence", "top_signal", "top_significance", "noise_scale",
)  # fmt: skip
_SCORES: Final = tuple(f"{name}{end}" for name in SCORED.values() for end in ("", "_low", "_high"))
# In order: the item, its scores, the overlap with the nearest text, the influences, the error.
NAMES: Final = (
    "row", "query_id", "clean", *_SCORES, "overlap", "shared_ngrams", "ngrams", "ngram", "longest_run", "tokens",
    "sequences", "nearest_id", "nearest_source", "nearest_text", "nearest_influence", "nearest_score", "nearest_rank",
    "influence_score", "top_influence", "top_signal", "top_significance", "top_id", "top_source", "top_text",
    "noise_scale", "log_likelihood", "token_log_likelihood", "completion_tokens", "error",
)  # fmt: skip


def evidence_row(row: QueryRow, evidence: Evidence | WhenceError) -> dict[str, Any]:
    """Return the row of an item, without its scores: these depend on the clean items."""
    asked: dict[str, Any] = {"row": row.number, "query_id": row.query_id, "clean": row.columns[CLEAN]}
    own = {f"query.{name}": value for name, value in row.columns.items() if name != CLEAN}
    if isinstance(evidence, WhenceError):
        asked |= {"error": f"{evidence.reason}: {evidence.message}"}
    else:
        asked |= {**_of_overlap(evidence), **_of_influence(evidence)}
    return {**dict.fromkeys(NAMES), **asked, **own}


def with_tails(row: dict[str, Any], tails: dict[str, Tail | None]) -> dict[str, Any]:
    """Return the row with its scores, by the names of their columns."""
    known = {name: tail for name, tail in tails.items() if tail is not None}
    return {
        **row,
        **{name: tail.p for name, tail in known.items()},
        **{f"{name}_low": tail.low for name, tail in known.items()},
        **{f"{name}_high": tail.high for name, tail in known.items()},
    }


def _of_overlap(evidence: Evidence) -> dict[str, Any]:
    overlap, near = evidence.overlap, evidence.overlap.nearest
    rank = None
    if near is not None:
        hits = evidence.attribution.positive
        rank = next((hit.rank for hit in hits if hit.sequence_id == near.sequence_id), None)
    return {
        "overlap": overlap.share,
        "shared_ngrams": overlap.shared_ngrams,
        "ngrams": overlap.ngrams,
        "ngram": overlap.ngram,
        "longest_run": overlap.longest_run,
        "tokens": overlap.tokens,
        "sequences": overlap.sequences,
        "nearest_id": None if near is None else near.sequence_id,
        "nearest_source": None if near is None else near.source,
        "nearest_text": None if near is None else near.text,
        "nearest_influence": evidence.nearest_influence,
        "nearest_score": _in_noise(evidence, evidence.nearest_influence or 0.0),
        "nearest_rank": rank,
    }


def _of_influence(evidence: Evidence) -> dict[str, Any]:
    answer = evidence.attribution
    known: dict[str, Any] = {
        "influence_score": _in_noise(evidence, answer.positive[0].influence if answer.positive else 0.0),
        "noise_scale": None if answer.noise is None else answer.noise.scale,
        "log_likelihood": answer.log_likelihood,
        "token_log_likelihood": answer.log_likelihood / answer.completion_tokens if answer.completion_tokens else None,
        "completion_tokens": answer.completion_tokens,
    }
    if answer.positive:
        top = answer.positive[0]
        known |= {"top_influence": top.influence, "top_signal": top.signal, "top_significance": top.significance}
        known |= {"top_id": top.sequence_id, "top_source": top.source, "top_text": top.text}
    return known


def _in_noise(evidence: Evidence, influence: float) -> float | None:
    """Return an influence as a multiple of the noise in the item's influences; None where that is not known.

    A likely answer has small influences, a memorized one the smallest: as such they cannot be compared between items.
    """
    noise = evidence.attribution.noise
    return None if noise is None or not noise.scale > 0 else influence / noise.scale


def _arrow() -> list[tuple[str, Any]]:
    import pyarrow as pa

    kinds = {
        **dict.fromkeys(_INTEGERS, pa.int64()),
        **dict.fromkeys(_TEXTS, pa.string()),
        **dict.fromkeys((*_SCORES, *_NUMBERS), pa.float64()),
        "clean": pa.bool_(),
    }
    return [(name, kinds[name]) for name in NAMES]


TABLE: Final = Columns(names=NAMES, arrow=_arrow)
