"""The report of a run: what was flagged, how much of that is chance, and on how much it rests."""

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
class FlaggedItem:
    """An item, by the names of its columns in the table; scores are None without clean items."""

    query_id: str
    p: float | None
    p_low: float | None
    p_high: float | None
    overlap: float
    longest_run: int
    influence_score: float | None
    nearest_score: float | None
    nearest_id: str | None
    nearest_source: str | None
    nearest_text: str | None


@dataclass(frozen=True, kw_only=True)
class ContaminationReport:
    """What a run found. ``clean`` items are known to be clean, ``items`` are the others, without those refused.

    ``copied`` items are in one training text as a whole. Of the others' counts, each at the ``level``: ``overlapping``
    items share more of their n-grams with a text than clean ones do, ``influenced`` have larger influences, and
    ``flagged`` either, by their score; ``expected`` of each are so if all are clean. Of the overlapping, ``mattering``
    are those whose nearest text influences the gold answer more than that of any clean item. All five are None without
    clean items. ``least`` is the smallest score that so many clean items allow.

    ``without_noise`` items have no score of influence. Of ``training_sequences`` ``compared`` were in the corpus.
    ``first`` are the ten items with the smallest scores, or the largest overlap.
    """

    run: BulkReport
    ngram: int
    level: float
    items: int
    clean: int
    copied: int
    overlapping: int | None
    influenced: int | None
    flagged: int | None
    mattering: int | None
    expected: float | None
    least: float | None
    without_noise: int
    compared: int
    training_sequences: int
    first: tuple[FlaggedItem, ...] = field(default=())


class Tally:
    """Counts scored rows as they are written."""

    def __init__(self, scores: Scores, level: float) -> None:
        self._scores = scores
        self._level = level
        self._counts = dict.fromkeys(("items", "copied", "without_noise", *_FLAGS, "mattering"), 0)
        self._first: list[FlaggedItem] = []
        self.ngram = 0

    def see(self, row: Mapping[str, Any]) -> None:
        """Take the scored row of an item."""
        if row["error"] is not None:
            return
        self.ngram = max(self.ngram, row["ngram"])
        if row["clean"]:
            return
        self._counts["items"] += 1
        self._counts["copied"] += row["overlap"] == 1
        self._counts["without_noise"] += row["influence_score"] is None
        for name, column in _FLAGS.items():
            self._counts[name] += self._is_flagged(row, column)
        self._counts["mattering"] += self._is_flagged(row, "overlap_p") and self._scores.beyond_all(row, NEAREST)
        item = FlaggedItem(**{name: row[name] for name in FlaggedItem.__dataclass_fields__})
        self._first = sorted([*self._first, item], key=_by_score)[:_SHOWN]

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
_FLAGS: Final = {"overlapping": "overlap_p", "influenced": "influence_p", "flagged": "p"}


def _by_score(item: FlaggedItem) -> tuple[float, float, float, float]:
    p = 1.0 if item.p is None else item.p
    return p, -item.overlap, -item.longest_run, -(item.influence_score or 0.0)
