"""The part of a report about models that were trained without the first hits. Pure."""

from __future__ import annotations

from whence_backends.validation.methods import RANDOM
from whence_backends.validation.outcomes import FloatArray, Outcomes
from whence_backends.validation.plan import RunKind
from whence_backends.validation.report.inputs import Claims
from whence_backends.validation.statistics.removals import Cell, RemovalEffect, removal_effects


def removals(outcomes: Outcomes, claims: Claims) -> tuple[RemovalEffect, ...]:
    """Return the effect of each removal that is measured. A query whose runs are missing is left out of it."""
    runs, column = outcomes.of(RunKind.REMOVAL), {name: place for place, name in enumerate(claims.query_ids)}
    removed: dict[Cell, dict[int, FloatArray]] = {}
    for removal in sorted(claims.removals, key=lambda removal: removal.count):
        rows = [row for row, run in enumerate(runs.runs) if run.name == removal.name]
        if rows:
            of_cell = removed.setdefault((removal.method, removal.count), {})
            of_cell[column[removal.query]] = runs.queries[rows, column[removal.query]]
    return removal_effects(outcomes.of(RunKind.FULL).queries, removed, RANDOM)
