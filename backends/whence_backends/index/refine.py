"""Refinement: what the exact influences of some rows say about the rest. Pure.

An influence is nearly linear in a sequence's gradient, and so in its row of the index. Where the influences of some
rows are known, a better sketch of the query is learned from them by ridge regression: influences are taken to be
⟨slope · sketch + u, row⟩, where both slope² and ‖u‖² are to be small. In its dual form, which has the size of the known
rows, this is the regression with the kernel ⟨row, row'⟩ + weight · ⟨sketch, row⟩⟨sketch, row'⟩. Rows that are like the
known ones, most of all those that are as influential, are then estimated better in another search of the same index.
By what common factor estimates are off does not matter.

How much to believe the sketch (weight) and the known rows (ridge) is what would have been best for the task itself: for
telling, from the half of the known rows with the larger estimates, the influences of the other half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from whence_backends.index.codes import Encoded, decode
from whence_backends.index.plan import Segment
from whence_backends.index.search import Float32Array, standard_errors

# What is tried, relative to the mean squared norm of a row, and to that over the mean square of the estimates.
RIDGES: Final = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
WEIGHTS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 10.0, 100.0)
_Float64Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Refined:
    """A better sketch [width], and of each known row the estimate that all others give, with its error; both [n].

    An estimate by all would be too good: the row's own influence was learned from. ``errors`` are standard deviations.
    """

    sketch: Float32Array
    estimates: Float32Array
    errors: Float32Array


def refine(sketch: Float32Array, rows: Encoded, influences: _Float64Array, segments: tuple[Segment, ...]) -> Refined:
    """Return the sketch [width] that the ``influences`` [n] of known rows lead to.

    Segments in which the sketch is 0 stay so: a request through some layers alone looks at no others. Costs n² · width
    multiplications.
    """
    values = decode(rows.codes, rows.scales, segments)
    for segment in segments:
        if not sketch[segment.start : segment.stop].any():
            values[:, segment.start : segment.stop] = 0
    estimates: _Float64Array = (values @ sketch).astype(np.float64)
    if len(values) < 2 or not estimates.any() or not influences.any():
        return Refined(sketch=sketch, estimates=_narrow(estimates), errors=standard_errors(sketch, rows, segments))
    gram = (values @ values.T).astype(np.float64)
    norm, square = np.trace(gram) / len(gram), np.square(estimates).mean()
    kernels = {weight: gram / norm + weight / square * np.outer(estimates, estimates) for weight in WEIGHTS}
    by_promise = np.argsort(-np.abs(estimates), kind="stable")
    weight, ridge = _best_for_the_rest(kernels, influences, by_promise[: len(by_promise) // 2])
    alpha, mistakes = _fit(kernels[weight], influences, ridge)
    slope = weight / square * float(alpha @ estimates)
    refined = _narrow(slope * sketch + (alpha / norm) @ values)
    return Refined(
        sketch=refined, estimates=_narrow(influences - mistakes), errors=standard_errors(refined, rows, segments)
    )


def _best_for_the_rest(
    kernels: Mapping[float, _Float64Array], influences: _Float64Array, known: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the weight and the ridge with which the ``known`` rows tell the others' influences best."""
    rest = np.setdiff1d(np.arange(len(influences)), known)
    best = (np.inf, WEIGHTS[0], RIDGES[0])
    for weight, kernel in kernels.items():
        spectrum, vectors = np.linalg.eigh(kernel[np.ix_(known, known)])
        along = vectors.T @ influences[known]
        across = kernel[np.ix_(rest, known)] @ vectors
        for ridge in RIDGES:
            told = across @ (along / (np.maximum(spectrum, 0) + ridge))
            best = min(best, (float(np.square(told - influences[rest]).sum()), weight, ridge))
    return best[1:]


def _fit(kernel: _Float64Array, influences: _Float64Array, ridge: float) -> tuple[_Float64Array, _Float64Array]:
    """Return each row's part in the fit, and by how much the others would mispredict it; both [n].

    The latter as in Rasmussen and Williams 2006, §5.4.2.
    """
    inverse = np.linalg.inv(kernel + ridge * np.eye(len(kernel)))
    alpha: _Float64Array = inverse @ influences
    return alpha, alpha / np.diag(inverse)


def _narrow(values: NDArray[Any]) -> Float32Array:
    narrow: Float32Array = values.astype(np.float32)
    return narrow
