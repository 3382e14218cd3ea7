"""What a report says. A figure that the runs cannot give is an ``Undetermined``, with the reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from whence_backends.validation.statistics.calibration import Calibration
from whence_backends.validation.statistics.estimate import Figure, Undetermined
from whence_backends.validation.statistics.groups import GroupAgreement
from whence_backends.validation.statistics.ranked import RankEffect, SignShare
from whence_backends.validation.statistics.removals import RemovalEffect

REPORT_FORMAT: Final = "whence.validation-report/1"
ALL: Final = "all"


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a report is of: so many runs of each kind, queries and training sequences.

    ``repeated`` of the ``subsets`` were trained with a second seed. ``units`` is the number of sets of sequences that
    the runs tell apart: documents, as a rule. ``removals`` is the number of runs without the top hits of a method.
    """

    subsets: int
    repeated: int
    full: int
    without: int
    removals: int
    queries: int
    sequences: int
    units: int


@dataclass(frozen=True, kw_only=True)
class MethodScore:
    """The LDS of a method over all queries, by kind of query, and what it has more than the reference.

    ``silent`` is the number of queries for which it predicts the same of every subset. ``slope`` is the median slope of
    measured on predicted log-likelihoods, of methods whose scores are in nats.
    """

    name: str
    lds: Figure
    by_kind: Mapping[str, Figure]
    difference: Figure
    slope: Figure
    silent: int


@dataclass(frozen=True, kw_only=True)
class MethodRanks:
    """Effects by rank and shares of right signs of a method, for the queries of a kind.

    Without ``in_nats``, what is predicted is in a unit of the method's own.
    """

    method: str
    kind: str
    in_nats: bool
    effects: tuple[RankEffect, ...]
    signs: tuple[SignShare, ...]


@dataclass(frozen=True, kw_only=True)
class Memorised:
    """Self-influence held against memorisation. ``points`` has up to 1,000 pairs of them, evenly spread by rank."""

    sequences: int
    spearman: Figure
    pearson: Figure
    top: int
    overlap: float
    overlap_by_chance: float
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class MethodGroups:
    """A method's sums over sources, held against models trained without the source."""

    method: str
    agreement: GroupAgreement | Undetermined


@dataclass(frozen=True, kw_only=True)
class Report:
    """The report. ``reference`` is the method that the others are compared with; ``kinds`` are those of the queries."""

    title: str
    basis: Basis
    reference: str
    kinds: tuple[str, ...]
    reliability: Figure
    ceiling: Figure
    methods: tuple[MethodScore, ...]
    ranks: tuple[MethodRanks, ...]
    calibration: Calibration | Undetermined
    memorisation: Memorised | Undetermined
    groups: tuple[MethodGroups, ...]
    removals: tuple[RemovalEffect, ...] = ()
    notes: tuple[str, ...] = ()

    def method(self, name: str) -> MethodScore:
        """Return the score of a method. Raises ``KeyError`` for another name."""
        return {row.name: row for row in self.methods}[name]

    def ranks_of(self, method: str, kind: str = ALL) -> MethodRanks:
        """Return the effects by rank of a method for a kind of query. Raises ``KeyError`` where there are none."""
        return {(row.method, row.kind): row for row in self.ranks}[method, kind]


def to_json(report: Report) -> dict[str, Any]:
    """Return the report as JSON. An ``Undetermined`` is an object with a ``reason`` and nothing else."""
    return {"format": REPORT_FORMAT, **dataclasses.asdict(report)}
