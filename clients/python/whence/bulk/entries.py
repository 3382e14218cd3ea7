"""What is done of a run over queries: a line of its journal for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from whence.bulk.journal import Journal


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A query that was answered or refused: its row's number and digest, and the rows of the table."""

    number: int
    digest: str
    refused: bool
    rows: list[dict[str, Any]]


class Entries:
    """The queries in a journal. ``answered`` counts them."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.answered = sum(1 for _ in self.entries())
        self._provenance: dict[str, Any] | None = None

    def entries(self) -> Iterator[Entry]:
        """Yield the entries, in the order of the rows."""
        for line in self.journal.lines():
            if "rows" in line:
                yield Entry(**line)

    def provenances(self) -> list[dict[str, Any]]:
        """Return the provenance of the answers; several, with their first rows, where it changed under the run."""
        distinct: list[dict[str, Any]] = []
        for line in self.journal.lines():
            if "provenance" in line and not any(line["provenance"] == known["provenance"] for known in distinct):
                distinct.append(line)
        return distinct

    def add(self, entry: Entry, provenance: dict[str, Any] | None) -> None:
        """Write an entry, after the provenance of its answer if that is new."""
        if provenance is not None and provenance != self._provenance:
            self.journal.write({"provenance": provenance, "first_row": entry.number})
            self._provenance = provenance
        self.journal.write(vars(entry))
        self.answered += 1
