"""The report of a run: how many items stand out, how many would by chance, and on how much that rests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from whence.bulk import BulkReport
from whence.contamination.rows import NEAREST
from whence.contamination.scores import Scores

# So many items are shown.
_SHOWN: Final = 10


@dataclass(frozen=True, kw_only=True)
class ItemScores:
    """An item, by the names of its columns in the table; scores are None without clean items."""

    query_id: str
    overlap: float
    longest_run: int
    overlap_p: float | None
    overlap_p_low: float | None
    overlap_p_high: float | None
    influence_score: float | None
    influence_p: float | None
    influence_p_low: float | None
    influence_p_high: float | None
    nearest_p: float | None
    nearest_id: str | None
    nearest_source: str | None
    nearest_text: str | None


@dataclass(frozen=True, kw_only=True)
class ContaminationReport:
    """The counts of a run. ``clean`` items are known to be clean; ``items`` are the others, without those refused.

    ``copied`` items are in one training text word for word. At the ``level``, ``overlapping`` items share more of their
    n-grams with a text than clean ones do, ``influenced`` ones have a larger influence, and ``likely`` ones a likelier
    gold answer; ``expected`` of each would, were all of them clean. Of the overlapping, ``mattering`` are those whose
    nearest text influences the gold answer more than that of any clean item. ``least`` is the smallest score that so
    many clean items allow. Without clean items these six are None.

    ``without_noise`` items have no score of influence. Of ``training_sequences`` ``compared`` were in the corpus.
    ``first`` are the ten items with the largest overlap.
    """

    run: BulkReport
    ngram: int
    level: float
    items: int
    clean: int
    copied: int
    overlapping: int | None
    influenced: int | None
    likely: int | None
    mattering: int | None
    expected: float | None
    least: float | None
    without_noise: int
    compared: int
    training_sequences: int
    first: tuple[ItemScores, ...] = field(default=())


class Tally:
    """Counts scored rows as they are written."""

    def __init__(self, scores: Scores, level: float) -> None:
        self._scores = scores
        self._level = level
        self._counts = dict.fromkeys(("items", "copied", "without_noise", *_FLAGS, "mattering"), 0)
        self._first: list[ItemScores] = []
        self.ngram = 0

    def see(self, row: Mapping[str, Any]) -> None:
        """Take the scored row of an item."""
        if row["error"] is not None:
            return
        self.ngram = max(self.ngram, row["ngram"])
        if row["clean"]:
            return
        self._counts["items"] += 1
        self._counts["copied"] += row["longest_run"] == row["tokens"]
        self._counts["without_noise"] += row["influence_score"] is None
        for name, column in _FLAGS.items():
            self._counts[name] += self._is_flagged(row, column)
        self._counts["mattering"] += self._is_flagged(row, "overlap_p") and self._scores.beyond_all(row, NEAREST)
        item = ItemScores(**{name: row[name] for name in ItemScores.__dataclass_fields__})
        self._first = sorted([*self._first, item], key=_by_overlap)[:_SHOWN]

    def report(self, run: BulkReport, provenance: Mapping[str, Any]) -> ContaminationReport:
        """Return the report of all that was seen."""
        clean, counts = self._scores.clean, dict[str, Any](self._counts)
        if not clean:
            counts |= dict.fromkeys((*_FLAGS, "mattering"))
        return ContaminationReport(
            run=run,
            ngram=self.ngram,
            level=self._level,
            clean=clean,
            **counts,
            expected=self._level * counts["items"] if clean else None,
            least=1 / (1 + clean) if clean else None,
            compared=provenance.get("sequences_compared", 0),
            training_sequences=provenance.get("training_set_size", 0),
            first=tuple(self._first),
        )

    def _is_flagged(self, row: Mapping[str, Any], column: str) -> bool:
        return row[column] is not None and row[column] <= self._level


# Counts of items, by the column of the score that is at most the level.
_FLAGS: Final = {"overlapping": "overlap_p", "influenced": "influence_p", "likely": "likelihood_p"}


def _by_overlap(item: ItemScores) -> tuple[float, int, float]:
    return -item.overlap, -item.longest_run, -(item.influence_score or 0.0)
