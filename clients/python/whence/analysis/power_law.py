"""A power law above a smallest value: p(x) ∝ x^-α for x > x_min, α being the exponent of the density.

The tail is the ``n`` largest of ``P`` values and ``x_min`` the next one, so that α̂ = 1 + n / Σ ln(x / x_min) is Hill's
estimate, with a standard error of (α̂ - 1) / √n (Clauset, Shalizi and Newman 2009, equations 3.1 and 3.2). Values are
sorted, the largest first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whence.analysis.influences import Float64Array
from whence.errors import InvalidRequestError
from whence.reasons import Reason


@dataclass(frozen=True, kw_only=True)
class PowerLaw:
    """The fit of a tail of ``count`` values above ``x_min``; ``distance`` is that of Kolmogorov and Smirnov."""

    exponent: float
    x_min: float
    count: int
    distance: float

    @property
    def standard_error(self) -> float:
        """The standard error of the exponent."""
        return float((self.exponent - 1) / np.sqrt(self.count))


def fit_power_law(values: Float64Array, count: int) -> PowerLaw:
    """Return the fit of the ``count`` largest values. Raises ``InvalidRequestError`` where all of them are equal."""
    x_min, tail = float(values[count]), values[:count]
    logarithms = float(np.log(tail / x_min).sum())
    if not logarithms > 0:
        raise InvalidRequestError(
            f"the {count + 1:,} largest influences are all {x_min:.4g}: equal values have no tail; take more of them",
            reason=Reason.INVALID_INFLUENCES,
            field="influences",
        )
    exponent = 1 + count / logarithms
    return PowerLaw(exponent=exponent, x_min=x_min, count=count, distance=_distance(tail / x_min, exponent))


def ks_p(fit: PowerLaw, values: Float64Array, rng: np.random.Generator, simulations: int) -> float:
    """Return the share of simulated samples that are as far from their own fit as the sample from its fit, or farther.

    Semi-parametric (Clauset et al. 2009, section 4.1): a value is of the fitted law with the probability n / P, else
    one of those below the tail. Each sample is fitted anew, x_min included. Below 0.1 the power law is rejected.
    """
    body = values[fit.count :]
    distances = [_simulated(fit, body, values.size, rng).distance for _ in range(simulations)]
    return float(np.mean(np.array(distances) >= fit.distance))


def largest_uniforms(rng: np.random.Generator, count: int, of: int) -> Float64Array:
    """Return 1 less the ``count`` largest of so many uniform variables, in ascending order; the rest is not drawn."""
    spacings = rng.exponential(size=count) / (of - np.arange(count))
    smallest: Float64Array = -np.expm1(-np.cumsum(spacings))
    return smallest


def _simulated(fit: PowerLaw, body: Float64Array, size: int, rng: np.random.Generator) -> PowerLaw:
    above = int(rng.binomial(size, fit.count / size))
    from_law = fit.x_min * rng.random(above) ** (-1 / (fit.exponent - 1))
    missing = max(0, fit.count + 1 - above)
    places = largest_uniforms(rng, missing, size - above) * body.size
    from_body = body[np.minimum(places.astype(np.int64), body.size - 1)]
    drawn = np.sort(np.concatenate([from_law, from_body]))[::-1]
    return fit_power_law(drawn, fit.count)


def _distance(ratios: Float64Array, exponent: float) -> float:
    """Return the largest difference of the two distributions, of values in units of x_min."""
    model = 1 - ratios[::-1] ** (1 - exponent)
    steps = np.arange(ratios.size + 1) / ratios.size
    return float(max(np.max(steps[1:] - model), np.max(model - steps[:-1])))
