"""The figures of a certificate. ``None`` in any of them: not measured."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import Final

# A value further from zero than so many standard errors is told from zero.
_STANDARD_ERRORS: Final = 2.0
_FIRST: Final = 10


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A measured value with its standard error, in the unit of the value."""

    value: float
    standard_error: float | None = None

    @classmethod
    def of(cls, value: float, standard_error: float | None = None) -> Estimate:
        """Return an estimate of plain numbers, also those of numpy."""
        return cls(value=float(value), standard_error=None if standard_error is None else float(standard_error))

    @property
    def is_above_zero(self) -> bool:
        """Whether it lies above zero by more than two standard errors; never without a standard error."""
        return self.standard_error is not None and self.value > _STANDARD_ERRORS * self.standard_error

    @property
    def is_below_zero(self) -> bool:
        """Whether it lies below zero by more than two standard errors; never without a standard error."""
        return self.standard_error is not None and -self.value > _STANDARD_ERRORS * self.standard_error


@dataclass(frozen=True, kw_only=True)
class Lds:
    """Linear datamodeling scores (Park et al. 2023, section 2): Spearman correlations over retrained subsets.

    Each correlates the sums of scores over the documents of a subset with what the model trained on that subset says,
    and is a mean over queries. ``ceiling`` is what a perfect method would reach beside the noise of training seeds.
    ``signal`` is of influences after shrinkage, ``positive`` and ``negative`` of those of one sign alone.
    ``subsets`` hold the share ``alpha`` of the corpus; ``repeated`` of them were trained again with other seeds.
    """

    influence: Estimate | None = None
    ceiling: Estimate | None = None
    signal: Estimate | None = None
    positive: Estimate | None = None
    negative: Estimate | None = None
    bm25: Estimate | None = None
    dot_product: Estimate | None = None
    subsets: int | None = None
    repeated: int | None = None
    queries: int | None = None
    alpha: float | None = None


@dataclass(frozen=True, kw_only=True)
class RankEffect:
    """The effect of the hits of some ranks, in nats, a mean over queries and hits.

    ``predicted`` is their mean influence; ``measured`` is a query's log-likelihood where the sequence was in the
    training set less where it was not. ``right_signs`` is the share of hits whose measured effect has the sign of their
    influence: 0.5 by chance.
    """

    first_rank: int
    last_rank: int
    predicted: float
    measured: Estimate
    right_signs: float | None = None


@dataclass(frozen=True, kw_only=True)
class RankEffects:
    """Effects by rank: ``positive`` from the best hit on, ``negative`` from the most negative hit on."""

    positive: tuple[RankEffect, ...] = ()
    negative: tuple[RankEffect, ...] = ()

    @property
    def valid_to_rank(self) -> int | None:
        """The last rank before the first bucket whose effect is not above zero by two standard errors; 0: none is.

        Later buckets do not count: one in forty of those without an effect is above zero by chance.
        """
        if not self.positive:
            return None
        valid = takewhile(lambda bucket: bucket.measured.is_above_zero, self.positive)
        return max((bucket.last_rank for bucket in valid), default=0)

    @property
    def right_signs(self) -> float | None:
        """The share of the first ten hits whose measured effect has the right sign; None unless all are measured."""
        first = [bucket for bucket in self.positive if bucket.last_rank <= _FIRST]
        shares = [
            (bucket.last_rank - bucket.first_rank + 1, bucket.right_signs)
            for bucket in first
            if bucket.right_signs is not None
        ]
        if len(shares) < len(first) or sum(size for size, _ in shares) != _FIRST:
            return None
        return sum(size * share for size, share in shares) / _FIRST

    @property
    def size_ratio(self) -> Estimate | None:
        """Measured over predicted effect of the first bucket: what a first hit's influence is to be multiplied by."""
        if not self.positive or self.positive[0].predicted <= 0:
            return None
        first = self.positive[0]
        error = first.measured.standard_error
        return Estimate(
            value=first.measured.value / first.predicted,
            standard_error=None if error is None else error / first.predicted,
        )


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The agreement of two rankings, means over queries; ``compared`` says of what with what.

    ``top10_overlap`` is the share of the first ten hits that both have, ``rank_correlation`` Spearman's.
    """

    top10_overlap: float
    rank_correlation: float
    compared: str = ""


@dataclass(frozen=True, kw_only=True)
class Stability:
    """The agreement of rankings with those of other label seeds, of half of the data and of another precision."""

    label_seed: Agreement | None = None
    half_data: Agreement | None = None
    precision: Agreement | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """The step θ + V/N for first hits: the log-likelihood is measured after it, in place of being extrapolated.

    ``slope`` is the change measured over that predicted; ``impossible_share`` the share of these hits whose influence
    promises a probability above 1.
    """

    slope: float
    impossible_share: float


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Sums over groups of sequences against models trained without the group.

    ``coverage`` is the share of the 95 % intervals that hold the measured effect, ``correlation`` Spearman's.
    """

    coverage: float
    correlation: float
    groups: int


@dataclass(frozen=True, kw_only=True)
class Checks:
    """What needs no retraining.

    ``gradient_error`` is the largest error of a layer's traced gradient against autograd's, relative to its norm;
    ``attributed_share`` the share of parameters that influence is computed through; ``pbrf`` the correlation with the
    proximal Bregman response function (Grosse et al. 2023, section 5.1); ``bm25_overlap`` the share of the first ten
    hits that are among BM25's.
    """

    gradient_error: float | None = None
    attributed_share: float | None = None
    pbrf: Estimate | None = None
    step: Step | None = None
    bm25_overlap: float | None = None
