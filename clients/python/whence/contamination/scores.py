"""Scores of items, from their evidence and that about the clean ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from whence.contamination.calibration import CleanValues, Tail, together
from whence.contamination.rows import INFLUENCE, LIKELIHOOD, NEAREST, OVERLAP

# The columns of scores, by those of the values that they are scores of.
_SCORED: Final = {
    OVERLAP: "overlap_p",
    INFLUENCE: "influence_p",
    NEAREST: "nearest_p",
    LIKELIHOOD: "likelihood_p",
}
# The text and the influences, together, are the score of an item. A likely answer may be known without being in there.
_TOGETHER: Final = ("overlap_p", "influence_p")

_Evidence = Mapping[str, Any]


class Scores:
    """Scores each item by the clean ones among all ``rows``, which are read once."""

    def __init__(self, rows: Iterable[_Evidence]) -> None:
        known = [{kind: row[kind] for kind in _SCORED} for row in rows if row["clean"] and row["error"] is None]
        self.clean = len(known)
        self._values = {kind: CleanValues([row[kind] for row in known if row[kind] is not None]) for kind in _SCORED}
        self._together = CleanValues([self._stands_out(self._tails(row, clean=True)) for row in known])

    def of(self, row: _Evidence) -> dict[str, Tail | None]:
        """Return the scores of an item by the names of their columns; a clean one is set against the others."""
        if row["error"] is not None:
            return {}
        tails = self._tails(row, clean=row["clean"])
        return {"p": self._together.tail(self._stands_out(tails), own=row["clean"]), **tails}

    def beyond_all(self, row: _Evidence, kind: str) -> bool:
        """Return whether the item's value is larger than that of every clean item."""
        return row[kind] is not None and row[kind] > self._values[kind].largest

    def _tails(self, row: _Evidence, *, clean: bool) -> dict[str, Tail | None]:
        return {
            name: None if row[kind] is None else self._values[kind].tail(row[kind], own=clean)
            for kind, name in _SCORED.items()
        }

    def _stands_out(self, tails: Mapping[str, Tail | None]) -> float:
        return together(tails[name] for name in _TOGETHER)
