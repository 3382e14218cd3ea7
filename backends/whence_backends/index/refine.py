"""Refinement: what the exact influences of some rows say about the rest. Pure.

An influence is nearly linear in a sequence's gradient, and so in its row of the index. Where the influences of some
rows are known, a better sketch of the query is learned from them by ridge regression: influences are taken to be
⟨slope · sketch + u, row⟩, where both slope² and ‖u‖² are to be small. In its dual form, which has the size of the known
rows, this is the regression with the kernel ⟨row, row'⟩ + weight · ⟨sketch, row⟩⟨sketch, row'⟩. Rows that are like the
known ones, most of all those that are as influential, are then estimated better in another search of the same index.
By what common factor estimates are off does not matter.

How much to believe the sketch (weight) and the known rows (ridge) is what tells each of the known influences best from
all the others (leave-one-out, Rasmussen and Williams 2006, §5.4.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from whence_backends.index.codes import Encoded, decode
from whence_backends.index.plan import Segment
from whence_backends.index.search import Float32Array, standard_errors

# More are not learned from: time grows with their cube.
MOST_ROWS: Final = 1024
# What is tried, where the mean squared norm of a row and the mean square of the estimates are 1.
RIDGES: Final = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
WEIGHTS: Final = (0.01, 0.1, 1.0, 10.0, 100.0)
_Float64Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Refined:
    """A better sketch [width], and of each known row the estimate that all others give, with its error; both [n].

    An estimate by all would be too good: the row's own influence was learned from. ``errors`` are standard deviations.
    """

    sketch: Float32Array
    estimates: Float32Array
    errors: Float32Array


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fit:
    """Each row's part in the fit, and by how much the others would mispredict its influence; both [n]."""

    weight: float
    parts: _Float64Array
    mistakes: _Float64Array


def refine(sketch: Float32Array, rows: Encoded, influences: _Float64Array, segments: tuple[Segment, ...]) -> Refined:
    """Return the sketch [width] that the ``influences`` [n] of known rows lead to; the same where they lead to none.

    Segments in which the sketch is 0 stay so: a request through some layers alone looks at no others. Costs n² · width
    multiplications, and n³.
    """
    values = decode(rows.codes, rows.scales, segments)
    for segment in segments:
        if not sketch[segment.start : segment.stop].any():
            values[:, segment.start : segment.stop] = 0
    with np.errstate(all="ignore"):  # what goes out of range is found by its not being finite
        return _learned(sketch, rows, influences, segments, values) or Refined(
            sketch=sketch, estimates=_narrow(values @ sketch), errors=standard_errors(sketch, rows, segments)
        )


def _learned(
    sketch: Float32Array,
    rows: Encoded,
    influences: _Float64Array,
    segments: tuple[Segment, ...],
    values: Float32Array,
) -> Refined | None:
    """Return the refinement that the rows' ``values`` [n, width] give, or ``None`` where they give none."""
    estimates: _Float64Array = (values @ sketch).astype(np.float64)
    size = np.sqrt(np.square(estimates).mean()) if len(estimates) > 1 else 0.0
    norm = np.sqrt(np.einsum("ij,ij->", values, values, dtype=np.float64) / max(1, len(values)))
    unit_values = values / np.float32(norm)
    gram = (unit_values @ unit_values.T).astype(np.float64)
    if not (size and influences.any() and np.isfinite(gram).all()):
        return None
    fit = _best_fit(gram, estimates / size, influences)
    slope = fit.weight * float(fit.parts @ estimates) / size**2
    refined = _narrow(slope * sketch + _narrow(fit.parts / norm) @ unit_values)
    if not (refined.any() and np.isfinite(refined).all()):
        return None
    return Refined(
        sketch=refined, estimates=_narrow(influences - fit.mistakes), errors=standard_errors(refined, rows, segments)
    )


def _best_fit(gram: _Float64Array, estimates: _Float64Array, influences: _Float64Array) -> _Fit:
    return min(_fits(gram, estimates, influences), key=lambda fit: float(np.square(fit.mistakes).sum()))


def _fits(gram: _Float64Array, estimates: _Float64Array, influences: _Float64Array) -> Iterator[_Fit]:
    """Yield the fit with every ridge and weight.

    The kernel is the Gram matrix and one more direction, the estimates, so that its inverse is that of the Gram matrix
    and a correction of rank one (Sherman and Morrison 1950); one decomposition serves all of them.
    """
    spectrum, vectors = np.linalg.eigh(gram)
    squares = np.square(vectors)
    sides = np.stack([influences, estimates], axis=1)
    along = vectors.T @ sides
    for ridge in RIDGES:
        inverse = 1 / (np.maximum(spectrum, 0) + ridge)
        solved, diagonal = vectors @ (inverse[:, None] * along), squares @ inverse
        for weight in WEIGHTS:
            shared = 1 / weight + estimates @ solved[:, 1]
            parts = solved[:, 0] - solved[:, 1] * ((estimates @ solved[:, 0]) / shared)
            mistakes = parts / (diagonal - np.square(solved[:, 1]) / shared)
            yield _Fit(weight=weight, parts=parts, mistakes=mistakes)


def _narrow(values: NDArray[Any]) -> Float32Array:
    narrow: Float32Array = values.astype(np.float32)
    return narrow
