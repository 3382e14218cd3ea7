"""Is a claimed significance true? Hits claimed with probability p, held against the signs that retraining measures.

A measured effect has noise of its own, so even certain hits are measured with the wrong sign now and then. The claim
is carried forward to what it says of the measurement: with posterior mean ``m`` and probability ``p`` of its sign, the
effect is taken as normal about ``c m`` with the deviation ``τ = c |m| / Φ⁻¹(p)``, so it is *measured* with that sign
with the probability ``Φ(c |m| / √(τ² + e²))``, where ``e`` is the measurement's standard error. Nothing is deconvolved.
``c``, the measured size of a predicted nat, is that of the hits that are told from noise, from squares and so whatever
their signs: a claim about signs is not judged by its unit. Where ``c`` is near 0, those hits have no effect at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence_backends.validation.statistics.correlation import FloatArray
from whence_backends.validation.statistics.effects import Effects
from whence_backends.validation.statistics.estimate import Figure, Undetermined
from whence_backends.validation.statistics.jackknife import joint_estimate
from whence_backends.validation.statistics.normal import normal_cdf, normal_quantile
from whence_backends.validation.statistics.shares import share_estimate

BINS: Final = (0.5, 0.7, 0.9, 0.95, 0.99, 1.0)
# From this probability of its sign, a hit is told from noise.
TOLD: Final = 0.95
_SURE: Final = 1 - 1e-9


@dataclass(frozen=True, kw_only=True)
class ClaimBin:
    """Hits that are claimed with a probability from ``low`` up to ``high``: ``claimed`` is its mean.

    ``expected`` is the share that would be measured with the claimed sign if the claim were true, ``measured`` the
    share that was. Without hits the figures are 0 and undetermined.
    """

    low: float
    high: float
    hits: int
    claimed: float
    expected: float
    measured: Figure


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The bins; ``size``, measured nats, of either sign, for a nat told from noise; and the hits that are called noise.

    ``noise_effect`` is their mean measured effect towards the sign they show, in standard errors of the measurement,
    and ``noise_claimed`` the same of their signal: where the first is above the second, truth was called noise.
    """

    bins: tuple[ClaimBin, ...]
    size: float
    noise_hits: int
    noise_effect: Figure
    noise_claimed: float


def calibration(signal: FloatArray, significance: FloatArray, effects: Effects) -> Calibration | Undetermined:
    """Return the calibration of claims. Shapes: ``signal`` and ``significance`` float64 [Q, N] of the same sequences.

    Sequences without a signal, a significance (NaN) or a known effect do not count.
    """
    usable = (signal != 0) & np.isfinite(significance) & effects.known & (effects.standard_errors > 0)
    if not usable.any():
        return Undetermined(reason="no sequence has both a signal and a measured effect")
    clear = usable & (significance >= TOLD)
    size = _size(signal, significance, effects, clear if clear.any() else usable)
    expected = _expected(signal, significance, effects, usable, size)
    right = usable & (signal * effects.values > 0)
    bins = [
        _bin(low, high, usable & _within(significance, low, high), significance, expected, right)
        for low, high in pairwise(BINS)
    ]
    noise = usable & ~clear
    return Calibration(
        bins=tuple(bins),
        size=size,
        noise_hits=int(noise.sum()),
        noise_effect=_noise_effect(signal, effects, noise),
        noise_claimed=float((size * np.abs(signal) / effects.standard_errors)[noise].mean()) if noise.any() else 0.0,
    )


def _size(signal: FloatArray, significance: FloatArray, effects: Effects, hits: NDArray[np.bool_]) -> float:
    """Return the root of the mean square effect over that of the claims, in standard errors of each measurement.

    The measurement's own noise, 1 in these units, is taken off.
    """
    error = effects.standard_errors[hits]
    measured = (effects.values[hits] / error) ** 2 - 1
    claimed = (signal[hits] ** 2 + _deviation(signal[hits], significance[hits]) ** 2) / error**2
    return math.sqrt(max(0.0, float(measured.sum() / claimed.sum())))


def _deviation(signal: FloatArray, significance: FloatArray) -> FloatArray:
    """Return the deviation of the normal posterior with this mean that has its sign with this probability.

    A probability near 0.5 says little of the deviation; it is taken as at most ten times the mean.
    """
    quantile = normal_quantile(np.clip(significance, 0.5, _SURE))
    deviation: FloatArray = np.abs(signal) / np.maximum(quantile, 0.1)
    return deviation


def _expected(
    signal: FloatArray, significance: FloatArray, effects: Effects, usable: NDArray[np.bool_], size: float
) -> FloatArray:
    mean = size * np.abs(signal[usable])
    deviation = size * _deviation(signal[usable], significance[usable])
    out = np.zeros(signal.shape)
    out[usable] = normal_cdf(mean / np.sqrt(deviation**2 + effects.standard_errors[usable] ** 2))
    return out


def _within(significance: FloatArray, low: float, high: float) -> NDArray[np.bool_]:
    return (significance >= low) & ((significance < high) | (high == BINS[-1]))


def _bin(
    low: float,
    high: float,
    hits: NDArray[np.bool_],
    significance: FloatArray,
    expected: FloatArray,
    right: NDArray[np.bool_],
) -> ClaimBin:
    count = int(hits.sum())
    return ClaimBin(
        low=low,
        high=high,
        hits=count,
        claimed=float(significance[hits].mean()) if count else 0.0,
        expected=float(expected[hits].mean()) if count else 0.0,
        measured=share_estimate((right & hits).sum(axis=1), hits.sum(axis=1)),
    )


def _noise_effect(signal: FloatArray, effects: Effects, noise: NDArray[np.bool_]) -> Figure:
    """Return the mean over queries of the mean over their hits called noise."""
    having = noise.any(axis=1)
    # The weight of each hit in its query's mean.
    towards = np.zeros(signal.shape)
    towards[noise] = np.sign(signal[noise]) / effects.standard_errors[noise]
    towards = towards[having] / noise[having].sum(axis=1, keepdims=True)
    left_out = [(towards * effects.without(run)[having]).sum(axis=1) for run in range(len(effects.members))]
    return joint_estimate((towards * effects.values[having]).sum(axis=1), np.stack(left_out))
