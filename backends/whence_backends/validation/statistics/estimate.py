"""A figure with its error, or the reason why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

# The share of the intervals that are to hold the truth.
CONFIDENCE: Final = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure, its standard error, and the interval that holds the truth in 95 of 100 validations."""

    value: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Undetermined:
    """A figure that the data cannot give. ``reason`` says what there is, and what is needed."""

    reason: str


Figure = Estimate | Undetermined


def around(value: float, standard_error: float, *, degrees: int) -> Estimate:
    """Return the estimate whose interval is Student's, with this many degrees of freedom."""
    reach = student_quantile(degrees) * standard_error
    return Estimate(value=value, standard_error=standard_error, low=value - reach, high=value + reach)


def student_quantile(degrees: int) -> float:
    """Return the quantile of Student's t above which half of 1 − ``CONFIDENCE`` lies.

    For 1 and 2 degrees in closed form, else by the expansion about the normal's (Abramowitz and Stegun 1964, 26.7.5),
    which is within 0.01 from 3 degrees on. Raises ``ValueError`` for fewer than 1.
    """
    if degrees < 1:
        raise ValueError(f"{degrees} degrees of freedom")
    share = 0.5 + CONFIDENCE / 2
    if degrees == 1:
        return math.tan(math.pi * (share - 0.5))
    if degrees == 2:
        return (2 * share - 1) * math.sqrt(2 / (4 * share * (1 - share)))
    z = NormalDist().inv_cdf(share)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return math.fsum(term / float(degrees) ** power for power, term in enumerate(terms))


def wilson(share: float, count: float) -> Estimate:
    """Return the estimate of a share of ``count`` independent cases, with Wilson's interval (1927).

    It does not shrink to a point where all cases agree, as that of the mean does.
    """
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return Estimate(
        value=share,
        standard_error=math.sqrt(share * (1 - share) / count),
        low=max(0.0, middle - reach),
        high=min(1.0, middle + reach),
    )
