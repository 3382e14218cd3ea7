"""The tails of the noise: a Student t distribution, whose degrees of freedom say how heavy they are.

Noise is taken to be as often negative as positive at every size. Influences that are none are mostly of one sign, so
the tails are those of the sign that has the lighter ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from whence_service.shrinkage.observations import Observed, steps_to

# The degrees of freedom to choose from, and the median size of a variable with each: the quantile of 0.75.
_MEDIANS: Final = {
    1.0: 1.0,
    1.5: 0.8726,
    2.0: 0.8165,
    2.5: 0.78501,
    3.0: 0.76489,
    4.0: 0.7407,
    5.0: 0.72669,
    7.0: 0.71114,
    10.0: 0.69981,
    20.0: 0.68696,
    50.0: 0.67943,
}
_NORMAL_MEDIAN: Final = 0.6744898
# With fewer observations of a sign the other sign's tails are taken.
_FEWEST: Final = 10
# Where observations are too few to tell, tails are heavy: the prior density of the degrees of freedom ν is ν^-2.
_CAUTION: Final = 2.0


@dataclass(frozen=True)
class Tails:
    """Student t noise with the median size of normal noise of a standard deviation of 1."""

    freedom: float

    @cached_property
    def _unit(self) -> float:
        return _NORMAL_MEDIAN / _MEDIANS[self.freedom]

    @cached_property
    def _height(self) -> float:
        log = math.lgamma((self.freedom + 1) / 2) - math.lgamma(self.freedom / 2)
        return 2 * math.exp(log) / math.sqrt(self.freedom * math.pi) / self._unit

    def density(self, size: float) -> float:
        """Return the density of the noise's size."""
        return self._height * float((1 + (size / self._unit) ** 2 / self.freedom) ** (-(self.freedom + 1) / 2))

    def probability(self, seen: Observed) -> float:
        """Return the probability of a size between two, by Simpson's rule."""
        ends = self.density(seen.low) + self.density(seen.high)
        return (ends + 4 * self.density((seen.low + seen.high) / 2)) * (seen.high - seen.low) / 6

    def below(self, size: float) -> float:
        """Return the probability of a size below a given one."""
        return math.fsum(self.probability(step) for step in steps_to(size))

    def log_likelihood(self, observed: Sequence[Observed]) -> float:
        """Return the log-likelihood of observations of one sign."""
        return math.fsum(seen.weight * math.log(self.probability(seen)) for seen in observed if seen.weight)


def fit_tails(*signs: Sequence[Observed]) -> Tails:
    """Return the tails of the noise from the observations of each sign."""
    enough = [observed for observed in signs if sum(seen.weight for seen in observed) >= _FEWEST]
    return max(map(_most_likely, enough), key=lambda tails: tails.freedom)


def most_likely_tails(log_likelihood: Callable[[Tails], float]) -> Tails:
    """Return the tails of the largest posterior density."""

    def posterior(tails: Tails) -> float:
        return log_likelihood(tails) - _CAUTION * math.log(tails.freedom)

    return max(map(Tails, _MEDIANS), key=posterior)


def _most_likely(observed: Sequence[Observed]) -> Tails:
    return most_likely_tails(lambda tails: tails.log_likelihood(observed))
