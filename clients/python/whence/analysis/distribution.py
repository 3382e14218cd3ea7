"""The heavy tail of a query's influences (Grosse et al. 2023, section 5.2.1), held against that of its noise."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from whence.analysis.families import Alternative, compare
from whence.analysis.influences import FEWEST, Float64Array, Sign, checked, sizes_of_sign
from whence.analysis.noise import NoiseFloor, noise_floor
from whence.analysis.power_law import PowerLaw, fit_power_law, ks_p, largest_uniforms
from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.results import Noise, Plain

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# The tail is this share of all influences (the paper's), but so many at least and at most.
TOP_FRACTION: Final = 1e-4
LARGEST_TAIL: Final = 500
SIMULATIONS: Final = 1000
# Below this probability a power law is rejected.
REJECTED: Final = 0.1
_POINTS: Final = 80
_NOISE_TAILS: Final = 400


@dataclass(frozen=True, kw_only=True)
class Point:
    """``share`` of all sequences have an influence of the sign and of this size, or a larger one."""

    size: float
    share: float


@dataclass(frozen=True, kw_only=True)
class NoiseTail:
    """A tail of as many values of noise alone: the exponent that would be fitted, with the central 95 %.

    ``limit`` is the exponent far out, ν + 1 for ν degrees of freedom; noise of a finite sample need not be there yet.
    ``expected`` values of noise are beyond x_min. ``above_threshold`` values of the tail are told from noise by the
    rule of answers, ``None`` where that is not known.
    """

    limit: float
    exponent: float
    low: float
    high: float
    expected: float
    above_threshold: int | None


@dataclass(frozen=True, kw_only=True, repr=False)
class Distribution(Plain):
    """The tail of the influences of a sign (1 or -1), fitted by a power law.

    ``exponent`` is that of the density, p(x) ∝ x^-α above ``x_min``, of ``tail`` values among ``of_sign`` of this sign
    and ``sequences`` in all. ``ks_p`` below 0.1 rejects the power law.
    """

    convention: ClassVar[str] = "p(x) ∝ x^-α above x_min (density exponent); α̂ = 1 + n / Σ ln(x / x_min)"  # noqa: RUF001

    query_id: str
    sign: int
    sequences: int
    of_sign: int
    tail: int
    x_min: float
    exponent: float
    standard_error: float
    ks_distance: float
    ks_p: float
    simulations: int
    seed: int
    alternatives: tuple[Alternative, ...]
    noise: NoiseFloor
    noise_tail: NoiseTail
    points: tuple[Point, ...]

    @property
    def rejected(self) -> bool:
        """Whether the tail is no power law, by the simulated KS test."""
        return self.ks_p < REJECTED

    @property
    def differs_from_noise(self) -> bool:
        """Whether the exponent is outside of the central 95 % of what noise alone gives."""
        return not self.noise_tail.low <= self.exponent <= self.noise_tail.high

    def row(self) -> dict[str, Any]:
        """Return the figures as a row of a table."""
        names = (
            "query_id",
            "sign",
            "sequences",
            "of_sign",
            "tail",
            "x_min",
            "exponent",
            "standard_error",
            "ks_distance",
        )
        return {
            **{name: getattr(self, name) for name in (*names, "ks_p", "rejected", "differs_from_noise")},
            **{f"noise_{name}": getattr(self.noise, name) for name in ("scale", "degrees_of_freedom", "threshold")},
            **{f"noise_{name}": getattr(self.noise_tail, name) for name in ("limit", "exponent", "low", "high")},
            "noise_expected": self.noise_tail.expected,
            "above_threshold": self.noise_tail.above_threshold,
            **{f"ratio_{other.family.lower()}": other.log_likelihood_ratio for other in self.alternatives},
            **{f"p_{other.family.lower()}": other.p for other in self.alternatives},
        }

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each point of the empirical distribution. Needs pandas."""
        from whence import dataframes

        return dataframes.rows([{"size": point.size, "share": point.share} for point in self.points])

    def plot(self) -> Figure:
        """Return the log-log plot of the tail, its fit and the noise. Needs matplotlib."""
        from whence.analysis import figures

        return figures.distributions([self])

    def __repr__(self) -> str:
        kind, verdict = "largest" if self.sign > 0 else "most negative", "rejected" if self.rejected else "not rejected"
        apart = "differs from" if self.differs_from_noise else "is that of"
        return (
            f"Distribution({self.query_id!r}: exponent {self.exponent:.2f} ± {self.standard_error:.2f} of the "
            f"{self.tail} {kind} of {self.sequences:,}, {verdict} (p {self.ks_p:.2f}), {apart} noise, "
            f"{self.noise_tail.low:.2f} to {self.noise_tail.high:.2f})"
        )


def distribution(
    influences: Iterable[float],
    *,
    query_id: str = "",
    sign: Sign = 1,
    top_fraction: float = TOP_FRACTION,
    noise: Noise | None = None,
    simulations: int = SIMULATIONS,
    seed: int = 0,
) -> Distribution:
    """Return the power-law fit of the largest influences of a sign, of all sequences of a query.

    The tail is the ``top_fraction`` of all influences, but 50 to 500 of them, as far as there are that many.
    ``noise`` is that of the query's answer, for the same influences; without it, it is estimated from them. A ``seed``
    gives the same result each time. Raises ``InvalidRequestError``: ``INVALID_INFLUENCES`` for NaN, infinities and
    tails of equal values, ``TOO_FEW_INFLUENCES`` below 50 of the sign.
    """
    values = checked(influences)
    _check(top_fraction, simulations)
    sizes = sizes_of_sign(values, sign)
    fit = fit_power_law(sizes, _tail_size(values.size, sizes.size, top_fraction))
    floor, rng = noise_floor(values, sign, noise), np.random.default_rng(seed)
    return Distribution(
        query_id=query_id,
        sign=sign,
        sequences=values.size,
        of_sign=sizes.size,
        tail=fit.count,
        x_min=fit.x_min,
        exponent=fit.exponent,
        standard_error=fit.standard_error,
        ks_distance=fit.distance,
        ks_p=ks_p(fit, sizes, rng, simulations),
        simulations=simulations,
        seed=seed,
        alternatives=compare(sizes[: fit.count] / fit.x_min, fit.exponent),
        noise=floor,
        noise_tail=_noise_tail(fit, floor, sizes, int(np.count_nonzero(values)) // 2, rng),
        points=_points(sizes, values.size, fit.count),
    )


def _check(top_fraction: float, simulations: int) -> None:
    if not 0 < top_fraction <= 1:
        raise InvalidRequestError(
            f"top_fraction is {top_fraction}: expected a share above 0 and at most 1",
            reason=Reason.INVALID_FIELD,
            field="top_fraction",
        )
    if simulations < 1:
        raise InvalidRequestError(
            f"simulations is {simulations}: expected at least 1", reason=Reason.INVALID_FIELD, field="simulations"
        )


def _tail_size(sequences: int, of_sign: int, top_fraction: float) -> int:
    wanted = min(max(FEWEST, math.ceil(top_fraction * sequences)), LARGEST_TAIL)
    return min(wanted, of_sign - 1)  # x_min is the next value


def _noise_tail(
    fit: PowerLaw, floor: NoiseFloor, sizes: Float64Array, of_noise: int, rng: np.random.Generator
) -> NoiseTail:
    """Return the tail of noise, of which half has the sign: ``of_noise`` values."""
    of_noise = max(of_noise, fit.count + 1)
    drawn = [_noise_exponent(fit.count, floor, of_noise, rng) for _ in range(_NOISE_TAILS)]
    low, middle, high = np.quantile(drawn, [0.025, 0.5, 0.975])
    threshold = floor.threshold if floor.threshold is not None else math.inf
    return NoiseTail(
        limit=floor.degrees_of_freedom + 1,
        exponent=float(middle),
        low=float(low),
        high=float(high),
        expected=of_noise * floor.beyond(fit.x_min),
        above_threshold=int((sizes[: fit.count] >= threshold).sum()) if floor.given else None,
    )


def _noise_exponent(count: int, floor: NoiseFloor, of_noise: int, rng: np.random.Generator) -> float:
    return fit_power_law(floor.sizes(largest_uniforms(rng, count + 1, of_noise)), count).exponent


def _points(sizes: Float64Array, sequences: int, tail: int) -> tuple[Point, ...]:
    """Return the empirical distribution at every value of the tail, and at ranks on a logarithmic grid below it."""
    below = np.geomspace(tail, sizes.size, _POINTS) if sizes.size > tail else np.array([tail])
    ranks = np.unique(np.concatenate([np.arange(1, tail + 1), below.astype(np.int64)]))
    return tuple(Point(size=float(sizes[rank - 1]), share=float(rank / sequences)) for rank in ranks)
