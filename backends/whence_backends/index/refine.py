"""Refinement: learning a better sketch of a query from the exact influences of some rows. Pure.

A search estimates influences as ⟨q, row⟩, with q the query's sketch and the row of each training sequence in the index.
Its best rows are candidates, whose influences are then computed exactly. Each scored candidate is a labelled example of
the function that the sketch approximates, so the sketch can be corrected before the remaining candidates are chosen.

An influence is linear in a sequence's gradient, and so nearly linear in its row: a corrected sketch is the weight
vector of a linear regression. There are fewer examples than coordinates, so the regression starts from q. Given the
exact influences I of n rows, the refined sketch is q' = slope · q + u. Slope and u minimize

    Σ_rows (I - ⟨q', row⟩)² + ridge · (slope² / weight + ‖u‖²),

a ridge regression. It is solved in its dual form, of size n, with the kernel ⟨row, row'⟩ + weight · ⟨q, row⟩⟨q, row'⟩.
A second search with q' gives better estimates for rows that resemble the known ones. The slope makes the result
independent of a common factor between estimates and influences.

Weight and ridge are those that predict each known influence best from all others (leave-one-out cross-validation;
Rasmussen and Williams 2006, §5.4.2).
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

# More rows are not used: time grows with their cube.
MOST_ROWS: Final = 1024
# Candidates for ridge and weight, relative to the mean squared norm of a row and the mean square of the estimates.
RIDGES: Final = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
WEIGHTS: Final = (0.01, 0.1, 1.0, 10.0, 100.0)
_Float64Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Refined:
    """A refined sketch [width], and the leave-one-out estimate of each known row with its error; both [n].

    An estimate from all rows would be too good, since it includes the row's own influence. ``errors`` are standard
    deviations.
    """

    sketch: Float32Array
    estimates: Float32Array
    errors: Float32Array


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fit:
    """The dual coefficient of each row, and its leave-one-out residual; both [n]."""

    weight: float
    parts: _Float64Array
    mistakes: _Float64Array


def refine(sketch: Float32Array, rows: Encoded, influences: _Float64Array, segments: tuple[Segment, ...]) -> Refined:
    """Return the sketch [width] refined by the ``influences`` [n] of known rows; unchanged if nothing can be learned.

    Segments in which the sketch is 0 remain 0, for requests through some layers alone. Costs n² · width + n³
    multiplications.
    """
    values = decode(rows.codes, rows.scales, segments)
    for segment in segments:
        if not sketch[segment.start : segment.stop].any():
            values[:, segment.start : segment.stop] = 0
    with np.errstate(all="ignore"):  # overflow is detected by values that are not finite
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
    """Yield the fit for every ridge and weight.

    The kernel is the Gram matrix plus a matrix of rank one, from the estimates. Its inverse is that of the Gram matrix
    with a correction of rank one (Sherman and Morrison 1950), so one decomposition serves all fits.
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
