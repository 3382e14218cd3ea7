"""Other families than the power law, fitted to the same tail: ``y`` = x / x_min > 1, cut off below 1.

Likelihood ratios are Vuong's (Clauset et al. 2009, section 5): the sum of the differences of the log-likelihoods of the
values, and the probability of one that large where both are as far from the truth. The package ``powerlaw`` (2.0.0)
compares the same way, but found no Weibull fit for samples of a power law, where the best one is at the edge of the
family; here the likelihood of each family is written down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import optimize, special

from whence.analysis.influences import Float64Array


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """A family held against the power law.

    ``log_likelihood_ratio`` is positive where the power law is the likelier one. ``p`` is small where the sign of the
    ratio is sure; above 0.1 the tail does not tell the two apart.
    """

    family: str
    log_likelihood_ratio: float
    p: float


def compare(ratios: Float64Array, exponent: float) -> tuple[Alternative, ...]:
    """Return every family against the power law of this exponent, for the tail in units of x_min, [n]."""
    power_law = np.log(exponent - 1) - exponent * np.log(ratios)
    return tuple(_against(name, power_law - fit(ratios)) for name, fit in _FAMILIES.items())


def _against(family: str, differences: Float64Array) -> Alternative:
    ratio, spread = float(differences.sum()), float(differences.std())
    p = float(special.erfc(abs(ratio) / (np.sqrt(2 * differences.size) * spread))) if spread else 1.0
    return Alternative(family=family, log_likelihood_ratio=ratio, p=p)


def _exponential(y: Float64Array) -> Float64Array:
    rate = 1 / np.mean(y - 1)
    return np.asarray(np.log(rate) - rate * (y - 1))


def _rayleigh(y: Float64Array) -> Float64Array:
    variance = np.mean(y**2 - 1) / 2
    return np.asarray(np.log(y / variance) - (y**2 - 1) / (2 * variance))


def _weibull(y: Float64Array) -> Float64Array:
    def values(shape: float) -> Float64Array:
        powers = np.expm1(shape * np.log(y))  # y^k - 1
        rate = 1 / np.mean(powers)
        return np.asarray(np.log(shape * rate) + (shape - 1) * np.log(y) - rate * powers)

    best = optimize.minimize_scalar(lambda shape: -values(shape).sum(), bounds=(1e-3, 10), method="bounded")
    return values(float(best.x))


def _lognormal(y: Float64Array) -> Float64Array:
    logarithms = np.log(y)

    def values(parameters: Float64Array) -> Float64Array:
        mean, deviation = parameters[0], np.exp(parameters[1])
        standard = (logarithms - mean) / deviation
        constant = np.log(deviation * np.sqrt(2 * np.pi)) + special.log_ndtr(mean / deviation)
        return np.asarray(-(standard**2) / 2 - logarithms - constant)

    return _most_likely(values, [(-50.0, 50.0), (-7.0, 7.0)], [0.0, float(np.log(logarithms.std() or 1.0))])


def _gumbel(y: Float64Array) -> Float64Array:
    def values(parameters: Float64Array) -> Float64Array:
        place, width = parameters[0], np.exp(parameters[1])
        beyond = np.log(-np.expm1(-np.exp(-(1 - place) / width)))
        standard = (y - place) / width
        return np.asarray(-np.log(width) - standard - np.exp(-standard) - beyond)

    width = float(np.log(y.std() or 1.0))
    return _most_likely(
        values, [(1 - 20 * np.exp(width), 1 + 20 * np.exp(width)), (width - 7, width + 7)], [1.0, width]
    )


def _most_likely(
    values: Callable[[Float64Array], Float64Array], bounds: list[tuple[float, float]], start: list[float]
) -> Float64Array:
    def loss(parameters: Float64Array) -> float:
        with np.errstate(all="ignore"):
            total = -float(values(parameters).sum())
        return total if np.isfinite(total) else 1e300

    best = optimize.minimize(loss, start, bounds=bounds, method="Nelder-Mead", options={"maxiter": 2000})
    return values(best.x)


_FAMILIES: Final[dict[str, Callable[[Float64Array], Float64Array]]] = {
    "exponential": _exponential,
    "Weibull": _weibull,
    "lognormal": _lognormal,
    "Rayleigh": _rayleigh,
    "Gumbel": _gumbel,
}
