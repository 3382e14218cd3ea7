"""In how few sequences a query's influences are concentrated (Grosse et al. 2023, Figure 11), and noise beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from whence.analysis.influences import Float64Array, Sign, checked, sizes_of_sign
from whence.analysis.noise import NoiseFloor, noise_floor
from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.results import Noise, Plain

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# The shares of sequences: from 0 to 1 % in steps of a hundredth of that, 10 % and all.
FRACTIONS: Final = (*(step / 10_000 for step in range(101)), 0.1, 1.0)
SIMULATIONS: Final = 200
TOP: Final = 0.01
# So many influences of noise are drawn at most, in all simulations.
_DRAWS: Final = 4_000_000
_FEWEST_SIMULATIONS: Final = 8


@dataclass(frozen=True, kw_only=True)
class Share:
    """The share of the total that the first ``fraction`` of all sequences have.

    ``signal`` is that of the signals' total, ``None`` where they are not known or all 0. ``noise`` is the median of
    what noise alone gives, with the central 95 %.
    """

    fraction: float
    influence: float
    signal: float | None
    noise: float
    noise_low: float
    noise_high: float


@dataclass(frozen=True, kw_only=True, repr=False)
class Concentration(Plain):
    """The concentration of the influences of a sign (1 or -1): ``curve`` has the shares of their ``total``.

    ``half`` sequences have half of the total; noise alone would need ``half_of_noise``, the median.
    """

    convention: ClassVar[str] = "share of the total influence of one sign that the first k % of all sequences have"

    query_id: str
    sign: int
    sequences: int
    of_sign: int
    total: float
    half: int
    half_of_noise: float
    simulations: int
    seed: int
    noise: NoiseFloor
    curve: tuple[Share, ...]

    @property
    def top(self) -> Share:
        """The share of the first 1 % of all sequences."""
        return next(share for share in self.curve if share.fraction == TOP)

    @property
    def differs_from_noise(self) -> bool:
        """Whether the first 1 % have more or less than the central 95 % of what noise alone gives them."""
        return not self.top.noise_low <= self.top.influence <= self.top.noise_high

    def row(self) -> dict[str, Any]:
        """Return the figures as a row of a table."""
        names = ("query_id", "sign", "sequences", "of_sign", "total", "half", "half_of_noise", "differs_from_noise")
        return {
            **{name: getattr(self, name) for name in names},
            **{f"top_{name}": getattr(self.top, name) for name in ("influence", "signal")},
            **{f"top_{name}": getattr(self.top, name) for name in ("noise", "noise_low", "noise_high")},
            **{f"noise_{name}": getattr(self.noise, name) for name in ("scale", "degrees_of_freedom")},
        }

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each share of the sequences. Needs pandas."""
        from whence import dataframes

        return dataframes.rows([vars(share) for share in self.curve])

    def plot(self) -> Figure:
        """Return the plot of the shares from 0 to 1 % of the sequences, with the noise. Needs matplotlib."""
        from whence.analysis import figures

        return figures.concentrations([self])

    def __repr__(self) -> str:
        kind, top = "positive" if self.sign > 0 else "negative", self.top
        return (
            f"Concentration({self.query_id!r}: 1 % of {self.sequences:,} sequences have {top.influence:.0%} of the "
            f"{kind} influence, noise alone {top.noise_low:.0%} to {top.noise_high:.0%}; half is in {self.half:,})"
        )


def concentration(
    influences: Iterable[float],
    *,
    query_id: str = "",
    sign: Sign = 1,
    signals: Iterable[float] | None = None,
    noise: Noise | None = None,
    seed: int = 0,
) -> Concentration:
    """Return the shares of the total influence of a sign that the first sequences have, of all sequences of a query.

    ``signals`` are those of the same sequences, ``noise`` is that of the query's answer; without it, it is estimated
    from the influences. Between two whole numbers of sequences a share is interpolated. Raises ``InvalidRequestError``:
    ``INVALID_INFLUENCES`` for NaN and infinities, ``TOO_FEW_INFLUENCES`` below 50 of the sign.
    """
    values = checked(influences)
    sizes, floor = sizes_of_sign(values, sign), noise_floor(values, sign, noise)
    simulations = max(_FEWEST_SIMULATIONS, min(SIMULATIONS, _DRAWS // values.size))
    drawn = _noise_sizes(floor, values, simulations, np.random.default_rng(seed))
    return Concentration(
        query_id=query_id,
        sign=sign,
        sequences=values.size,
        of_sign=sizes.size,
        total=float(sign * sizes.sum()),
        half=_half(sizes),
        half_of_noise=float(np.median([_half(noisy) for noisy in drawn])),
        simulations=simulations,
        seed=seed,
        noise=floor,
        curve=_curve(_shares(sizes, values.size), _of_signals(signals, values, sign), drawn, values.size),
    )


def _noise_sizes(
    floor: NoiseFloor, values: Float64Array, simulations: int, rng: np.random.Generator
) -> list[Float64Array]:
    """Return the sizes of the noise of a sign for as many sequences as have an influence, in each simulation."""
    count = int(np.count_nonzero(values))
    draws = (floor.draw(rng, count) for _ in range(simulations))
    return [np.sort(drawn[drawn > 0])[::-1] for drawn in draws]


def _of_signals(signals: Iterable[float] | None, values: Float64Array, sign: Sign) -> Float64Array | None:
    if signals is None:
        return None
    known = checked(signals, "signals")
    if known.size != values.size:
        raise InvalidRequestError(
            f"there are {known.size:,} signals and {values.size:,} influences; expected one for each",
            reason=Reason.INVALID_INFLUENCES,
            field="signals",
        )
    sizes = np.sort(sign * known[sign * known > 0])[::-1]
    return _shares(sizes, values.size) if sizes.size else None


def _shares(sizes: Float64Array, sequences: int) -> Float64Array:
    """Return the share of the total at each of :data:`FRACTIONS`, of sizes sorted from the largest."""
    sums = np.concatenate([[0.0], np.cumsum(sizes)])
    shares: Float64Array = np.interp(np.array(FRACTIONS) * sequences, np.arange(sums.size), sums / sums[-1])
    return shares


def _half(sizes: Float64Array) -> int:
    sums = np.cumsum(sizes)
    return int(np.searchsorted(sums, sums[-1] / 2)) + 1


def _curve(
    shares: Float64Array, signals: Float64Array | None, drawn: list[Float64Array], sequences: int
) -> tuple[Share, ...]:
    low, middle, high = np.quantile([_shares(sizes, sequences) for sizes in drawn], [0.025, 0.5, 0.975], axis=0)
    return tuple(
        Share(
            fraction=fraction,
            influence=float(shares[place]),
            signal=None if signals is None else float(signals[place]),
            noise=float(middle[place]),
            noise_low=float(low[place]),
            noise_high=float(high[place]),
        )
        for place, fraction in enumerate(FRACTIONS)
    )
