"""Removals of first hits, made up with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from made_up_validations import coverage
from whence_backends.validation.statistics.estimate import Estimate, Undetermined
from whence_backends.validation.statistics.removals import RemovalEffect, removal_effects

RANDOM = "random"


def by_cell(effects: tuple[RemovalEffect, ...]) -> dict[tuple[str, int], RemovalEffect]:
    return {(effect.method, effect.count): effect for effect in effects}


def without(method: str, *changes: float, full: float = -10.0) -> dict:
    return {(method, 5): {query: np.array([full + change]) for query, change in enumerate(changes)}}


def test_a_change_is_that_from_the_runs_on_everything():
    """Broken by: the sign; one of several runs on everything; a removal that is measured at another query."""
    full = np.array([[-9.0, -19.0], [-11.0, -21.0]])
    removed = {("EK-FAC", 5): {0: np.array([-13.0, -15.0]), 1: np.array([-22.0])}, (RANDOM, 5): {0: np.array([-10.5])}}
    effects = by_cell(removal_effects(full, removed, RANDOM))
    assert effects["EK-FAC", 5].change.value == pytest.approx((-4 - 2) / 2)
    assert (effects["EK-FAC", 5].queries, effects[RANDOM, 5].queries) == (2, 1)
    assert isinstance(effects[RANDOM, 5].change, Undetermined)


def test_a_difference_to_random_documents_is_paired_by_query():
    """Broken by: the controls of other queries or sizes; errors of two means in the place of that of a difference."""
    full = np.full((1, 4), -10.0)
    hard = np.array([0.0, 10.0, 20.0, 30.0])  # what any removal costs a query
    removed = without("EK-FAC", *(-hard - [2.0, 2.0, 2.0, 4.0])) | without(RANDOM, *-hard)
    removed[RANDOM, 50] = {query: np.array([-99.0]) for query in range(4)}
    effect = by_cell(removal_effects(full, removed, RANDOM))["EK-FAC", 5]
    assert effect.beyond_random.value == pytest.approx(-2.5)
    assert effect.beyond_random.standard_error == pytest.approx(0.5)
    assert effect.lost == 1.0
    assert by_cell(removal_effects(full, removed, RANDOM))[RANDOM, 5].lost is None


def test_queries_without_a_control_are_in_no_difference():
    full = np.full((1, 3), -10.0)
    removed = without("BM25", -1.0, -3.0, -500.0) | without(RANDOM, 0.0, 0.0)
    effect = by_cell(removal_effects(full, removed, RANDOM))["BM25", 5]
    assert (effect.queries, effect.beyond_random.value) == (3, pytest.approx(-2.0))


def test_without_a_run_on_everything_the_difference_is_known_and_the_change_is_not():
    effects = removal_effects(np.zeros((0, 3)), without("EK-FAC", -1, -2, -3) | without(RANDOM, 0, 0, 0), RANDOM)
    assert effects[0].change == Undetermined(reason="no run on everything is measured")
    assert effects[0].beyond_random.value == pytest.approx(-2.0)


def made_up(rng: np.random.Generator, *, shared: float, full: int, queries: int) -> tuple[RemovalEffect, ...]:
    """Runs that lose 3 nats on the mean; each has noise of its own, and some that all queries share."""

    def run(rows: int, columns: int) -> np.ndarray:
        return rng.normal(size=(rows, columns)) + shared * rng.normal(size=(rows, 1))

    lost, ours, control = 3 + rng.normal(size=queries), run(queries, 1)[:, 0], run(queries, 1)[:, 0]
    removed = {
        ("EK-FAC", 5): {query: np.array([ours[query] - lost[query]]) for query in range(queries)},
        (RANDOM, 5): {query: np.array([control[query]]) for query in range(queries)},
    }
    return removal_effects(run(full, queries), removed, RANDOM)


@pytest.mark.parametrize(("shared", "full"), [(0.0, 2), (1.0, 8)])
def test_intervals_hold_the_truth(shared: float, full: int):
    """Broken by: an error that knows nothing of what the runs on everything share; one that counts it twice."""
    rng = np.random.default_rng(4)
    effects = [made_up(rng, shared=shared, full=full, queries=12)[0] for _ in range(800)]
    for estimates in ([effect.change for effect in effects], [effect.beyond_random for effect in effects]):
        errors = [estimate.standard_error for estimate in estimates if isinstance(estimate, Estimate)]
        scatter = float(np.std([estimate.value for estimate in estimates]))
        assert math.sqrt(np.mean(np.square(errors))) == pytest.approx(scatter, rel=0.12)
        assert 0.92 < coverage(estimates, -3.0) < 0.985
