"""Scores of items, from their evidence and that about the clean ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from whence.contamination.calibration import CleanValues, Tail
from whence.contamination.rows import SCORED

_Evidence = Mapping[str, Any]


class Scores:
    """Scores each item by the clean ones among all ``rows``, which are read once."""

    def __init__(self, rows: Iterable[_Evidence]) -> None:
        known = [{kind: row[kind] for kind in SCORED} for row in rows if row["clean"] and row["error"] is None]
        self.clean = len(known)
        self._values = {kind: CleanValues([row[kind] for row in known if row[kind] is not None]) for kind in SCORED}

    def of(self, row: _Evidence) -> dict[str, Tail | None]:
        """Return the scores of an item by the names of their columns; a clean one is set against the others."""
        if row["error"] is not None:
            return {}
        return {
            name: None if row[kind] is None else self._values[kind].tail(row[kind], own=row["clean"])
            for kind, name in SCORED.items()
        }

    def beyond_all(self, row: _Evidence, kind: str) -> bool:
        """Return whether the item's value is larger than that of every clean item."""
        return row[kind] is not None and row[kind] > self._values[kind].largest
