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

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from whence_backends.index.codes import Encoded, decode
from whence_backends.index.plan import Segment
from whence_backends.index.search import Float32Array, standard_errors

# What is tried, relative to the mean squared norm of a row, and to that over the mean square of the estimates.
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
    weight, alpha, mistakes = _best_fit(kernels, influences)
    slope = weight / square * float(alpha @ estimates)
    refined = _narrow(slope * sketch + (alpha / norm) @ values)
    return Refined(
        sketch=refined, estimates=_narrow(influences - mistakes), errors=standard_errors(refined, rows, segments)
    )


def _best_fit(
    kernels: Mapping[float, _Float64Array], influences: _Float64Array
) -> tuple[float, _Float64Array, _Float64Array]:
    """Return the best weight, each row's part in the fit, and by how much the others would mispredict it; both [n]."""
    fits = [(weight, *fit) for weight, kernel in kernels.items() for fit in _fits(kernel, influences)]
    return min(fits, key=lambda fit: float(np.square(fit[2]).sum()))


def _fits(kernel: _Float64Array, influences: _Float64Array) -> Iterator[tuple[_Float64Array, _Float64Array]]:
    """Yield each row's part in the fit, and by how much the others would mispredict it, for every ridge."""
    spectrum, vectors = np.linalg.eigh(kernel)
    along = vectors.T @ influences
    for ridge in RIDGES:
        inverse = 1 / (np.maximum(spectrum, 0) + ridge)
        alpha = vectors @ (inverse * along)
        yield alpha, alpha / (np.square(vectors) @ inverse)


def _narrow(values: NDArray[Any]) -> Float32Array:
    narrow: Float32Array = values.astype(np.float32)
    return narrow
