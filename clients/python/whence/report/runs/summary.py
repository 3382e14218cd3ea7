"""What a run's table adds up to: by source and task, and by sequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from whence.report.runs.run import AskedRow
from whence.significance import is_significant

_TEXT: Final = 400


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the matrix: a task, and whether its answers are right; None where nothing says."""

    task: str
    correct: bool | None


@dataclass(kw_only=True)
class Sums:
    """Sums over listed hits: their signal, their number, and how many of them are told from noise."""

    signal: float = 0.0
    hits: int = 0
    significant: int = 0

    def add(self, signal: float, *, significant: bool) -> None:
        """Add a hit."""
        self.signal += signal
        self.hits += 1
        self.significant += significant

    def join(self, other: Sums) -> None:
        """Add other sums."""
        self.signal += other.signal
        self.hits += other.hits
        self.significant += other.significant


@dataclass(kw_only=True)
class SequenceTally:
    """A sequence, and the sums over its hits: of right answers, of wrong ones, of those that nothing is known of."""

    sequence_id: str
    source: str
    text: str
    sums: dict[bool | None, Sums] = field(default_factory=dict)

    def of(self, correct: bool | None) -> Sums:
        """Return the sums over answers of a kind."""
        return self.sums.get(correct, Sums())


@dataclass(kw_only=True)
class Summary:
    """The sums of a run. :meth:`see` takes its queries one after the other."""

    queries: int = 0
    refused: int = 0
    without_hits: int = 0
    with_signal: int = 0
    all: Sums = field(default_factory=Sums)
    answers: Counter[Column] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    warnings: dict[str, Counter[str]] = field(default_factory=dict)
    matrix: dict[tuple[str, Column], Sums] = field(default_factory=dict)
    sequences: dict[str, SequenceTally] = field(default_factory=dict)

    @property
    def judged(self) -> bool:
        """Whether any answer is known to be right or wrong."""
        return any(column.correct is not None for column in self.answers)

    def see(self, query: AskedRow) -> None:
        """Take a query with its hits."""
        self.queries += 1
        if query.error:
            self.refused += 1
            self.refusals[query.error.partition(":")[0]] += 1
            return
        column = Column(task=query.task, correct=query.correct)
        self.answers[column] += 1
        self.without_hits += not query.hits
        for warning in query.warnings:
            self.warnings.setdefault(warning.code, Counter())[warning.message] += 1
        for hit in query.hits:
            self._count(hit, column)

    def _count(self, hit: dict[str, Any], column: Column) -> None:
        signal, significant = hit["signal"] or 0.0, is_significant(hit["significance"])
        source, name = hit["source"] or "", hit["sequence_id"] or ""
        tally = self.sequences.get(name)
        if tally is None:
            tally = SequenceTally(sequence_id=name, source=source, text=(hit["text"] or "")[:_TEXT])
            self.sequences[name] = tally
        self.with_signal += hit["signal"] is not None
        cell = self.matrix.setdefault((source, column), Sums())
        for sums in (self.all, cell, tally.sums.setdefault(column.correct, Sums())):
            sums.add(signal, significant=significant)

    def sources(self) -> list[str]:
        """Return the sources, that of the largest sum first."""
        sizes: dict[str, float] = {}
        for (source, _), sums in self.matrix.items():
            sizes[source] = sizes.get(source, 0.0) + (sums.signal if self.with_signal else sums.hits)
        return sorted(sizes, key=lambda source: (-abs(sizes[source]), source))

    def columns(self) -> list[Column]:
        """Return the columns: task by task, right before wrong."""
        order = {True: 0, False: 1, None: 2}
        return sorted(self.answers, key=lambda column: (column.task, order[column.correct]))

    def over(self, sources: Sequence[str], columns: Sequence[Column]) -> Sums:
        """Return the sums over some sources and columns."""
        total = Sums()
        for source in sources:
            for column in columns:
                total.join(self.matrix.get((source, column), Sums()))
        return total

    def leading(self, count: int) -> list[SequenceTally]:
        """Return the sequences that are told from noise in the most failures, then those of the largest signal.

        Failures are the wrong answers; where nothing says what is wrong, all answers count.
        """
        of = False if self.judged else None
        listed = (tally for tally in self.sequences.values() if tally.of(of).hits)
        return sorted(listed, key=lambda tally: (-tally.of(of).significant, -tally.of(of).signal, tally.sequence_id))[
            :count
        ]
