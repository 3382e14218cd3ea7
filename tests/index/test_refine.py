"""What known influences teach a sketch, against what solving by hand teaches, and where it must teach nothing."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from whence_backends.index.codes import Encoded, decode, encode
from whence_backends.index.plan import Segment
from whence_backends.index.refine import RIDGES, WEIGHTS, refine
from whence_backends.index.search import standard_errors

SEGMENTS = (Segment(layers=("a",), start=0, width=512), Segment(layers=("b",), start=512, width=1024))
WIDTH = 1536
_random = np.random.default_rng(5)
# Gradients of a corpus are alike: rows lie near a space of few dimensions.
_DIRECTIONS = _random.normal(size=(12, WIDTH))


def rows(count: int, bits: int = 1, seed: int = 0) -> tuple[np.ndarray, Encoded]:
    """Return sketches [count, width], and what an index keeps of them."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(count, 12)) @ _DIRECTIONS + 0.5 * random.normal(size=(count, WIDTH))
    return values, encode(values.astype(np.float32), SEGMENTS, bits)


def part(encoded: Encoded, chosen: np.ndarray | slice) -> Encoded:
    return Encoded(encoded.codes[chosen], encoded.scales[chosen])


@pytest.mark.parametrize(("bits", "left"), [(1, 0.7), (8, 0.5)])
def test_what_known_rows_lack_tells_what_others_lack(bits: int, left: float) -> None:
    """Broken by: adding the correction with the wrong sign; learning the influences instead of what they lack."""
    values, encoded = rows(400, bits)
    sketch = _random.normal(size=WIDTH).astype(np.float32)
    missing = _random.normal(size=WIDTH)  # what the index did not keep of the query
    influences = values @ (sketch + missing)
    known, others = slice(0, 200), slice(200, 400)
    refined = refine(sketch, part(encoded, known), influences[known], SEGMENTS)
    codes = decode(encoded.codes, encoded.scales, SEGMENTS).astype(np.float64)

    def error(estimates: np.ndarray, of: slice) -> float:
        return float(np.linalg.norm(estimates - influences[of]) / np.linalg.norm(influences[of]))

    assert error(codes[others] @ refined.sketch, others) < left * error(codes[others] @ sketch, others)
    # The estimates of the known rows are as wrong as those of others, not better: each was made without its own row.
    assert error(refined.estimates, known) == pytest.approx(error(codes[others] @ refined.sketch, others), rel=0.25)


def test_each_known_estimate_is_what_the_other_rows_lead_to() -> None:
    """Broken by: estimates that learned from the row itself; a weight or a ridge chosen by what was fitted."""
    values, encoded = rows(24)
    sketch = _random.normal(size=WIDTH).astype(np.float32)
    influences = values @ _random.normal(size=WIDTH)
    codes = decode(encoded.codes, encoded.scales, SEGMENTS).astype(np.float64)
    plain = codes @ sketch
    gram = codes @ codes.T / np.square(codes).sum(axis=1).mean()

    def predicted(known: np.ndarray, of: np.ndarray, weight: float, ridge: float) -> np.ndarray:
        kernel = gram + weight * np.outer(plain, plain) / np.square(plain).mean()
        inner = kernel[np.ix_(known, known)] + ridge * np.eye(len(known))
        return kernel[np.ix_(of, known)] @ np.linalg.solve(inner, influences[known])

    every = np.arange(24)

    def left_out(weight: float, ridge: float) -> np.ndarray:
        return np.array([predicted(np.delete(every, row), every[[row]], weight, ridge)[0] for row in every])

    told = (left_out(weight, ridge) for weight, ridge in product(WEIGHTS, RIDGES))
    best = min(told, key=lambda found: np.square(found - influences).sum())
    refined = refine(sketch, encoded, influences, SEGMENTS)
    np.testing.assert_allclose(refined.estimates, best, rtol=1e-3, atol=0.1)


def test_estimates_that_are_right_stay_right() -> None:
    _, encoded = rows(80)
    sketch = _random.normal(size=WIDTH).astype(np.float32)
    codes = decode(encoded.codes, encoded.scales, SEGMENTS)
    influences = (codes @ sketch).astype(np.float64)
    refined = refine(sketch, part(encoded, slice(0, 40)), influences[:40], SEGMENTS)
    np.testing.assert_allclose(codes @ refined.sketch, influences, atol=0.01 * np.abs(influences).max())


def test_a_common_factor_of_estimates_or_influences_does_not_matter() -> None:
    """Broken by: learning what estimates lack, which is nearly all of it where their scale is another."""
    values, encoded = rows(60)
    sketch = _random.normal(size=WIDTH).astype(np.float32)
    influences = values @ (sketch + _random.normal(size=WIDTH))
    expected = refine(sketch, encoded, influences, SEGMENTS)
    found = refine(64 * sketch, encoded, influences / 8, SEGMENTS)
    np.testing.assert_allclose(8 * found.sketch, expected.sketch, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(8 * found.estimates, expected.estimates, rtol=1e-3, atol=0.1)


def test_layers_that_were_not_asked_stay_out_of_it() -> None:
    """Broken by: a correction that reaches into the segments of other layers."""
    values, encoded = rows(60)
    sketch = _random.normal(size=WIDTH).astype(np.float32)
    sketch[: SEGMENTS[0].stop] = 0
    refined = refine(sketch, encoded, values @ _random.normal(size=WIDTH), SEGMENTS)
    assert not refined.sketch[: SEGMENTS[0].stop].any()
    assert not np.allclose(refined.sketch[SEGMENTS[1].start :], sketch[SEGMENTS[1].start :])


def test_errors_are_those_of_the_better_sketch() -> None:
    values, encoded = rows(50)
    refined = refine(np.ones(WIDTH, np.float32), encoded, values @ _random.normal(size=WIDTH), SEGMENTS)
    np.testing.assert_array_equal(refined.errors, standard_errors(refined.sketch, encoded, SEGMENTS))


@pytest.mark.parametrize("count", [0, 5])
def test_rows_of_nothing_teach_nothing(count: int) -> None:
    encoded = encode(np.zeros((count, WIDTH), np.float32), SEGMENTS, 1)
    sketch = np.ones(WIDTH, np.float32)
    refined = refine(sketch, encoded, np.ones(count), SEGMENTS)
    np.testing.assert_array_equal(refined.sketch, sketch)
    assert refined.estimates.tolist() == [0.0] * count


@pytest.mark.parametrize("factor", [1e-24, 1e-12, 1e12, 1e18])
def test_the_unit_of_gradients_does_not_matter(factor: float) -> None:
    """Broken by: products of rows in float32 that are out of its range."""
    values, encoded = rows(40)
    sketch = _random.normal(size=WIDTH).astype(np.float32)
    influences = values @ (sketch + _random.normal(size=WIDTH))
    expected = refine(sketch, encoded, influences, SEGMENTS)
    scaled = Encoded(encoded.codes, encoded.scales * np.float32(factor))
    found = refine(sketch, scaled, factor * influences, SEGMENTS)
    np.testing.assert_allclose(found.sketch, expected.sketch, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("scale", "influence"), [(1e30, 1.0), (1e38, 1e30), (1.0, 1e300), (1e-45, 1.0), (1.0, 0.0)])
def test_what_is_out_of_range_teaches_nothing(scale: float, influence: float) -> None:
    values, encoded = rows(20)
    sketch = np.full(WIDTH, 1e5, np.float32)
    extreme = Encoded(encoded.codes, np.full_like(encoded.scales, scale))
    refined = refine(sketch, extreme, influence * values[:, 0], SEGMENTS)
    assert np.isfinite(refined.sketch).all()
    assert refined.sketch.any()
