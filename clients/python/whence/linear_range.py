"""The linear range: the influences that can be read as nats.

An influence extrapolates the slope of the log-likelihood to the presence of a sequence. That holds for small effects
only: an influence larger than a log-likelihood can change says no more than that the effect would not be small.
"""

from __future__ import annotations

from typing import Final

# A change of more nats is not small, unless it is less than this part of a long output's log-likelihood.
FEW_NATS: Final = 3.0
_PART: Final = 0.1
# A change of fewer nats misleads nobody, however sure the model already is of its output.
_LITTLE_NATS: Final = 0.1


def is_outside(influence: float, log_likelihood: float) -> bool:
    """Return whether an influence on an output of this log-likelihood, both in nats, is outside the linear range.

    An influence that would raise a probability above 1 is outside, and so is one of more than a few nats.
    """
    return is_above_certainty(influence, log_likelihood) or abs(influence) > max(FEW_NATS, _PART * abs(log_likelihood))


def is_above_certainty(total: float, log_likelihood: float) -> bool:
    """Return whether influences that sum to ``total`` would raise an output of this log-likelihood above certainty."""
    return total > max(_LITTLE_NATS, -log_likelihood)


def is_outside_for_tokens(influence: float, tokens: int) -> bool:
    """Return whether an influence on ``tokens`` tokens, of 1 nat each, is outside the linear range."""
    return abs(influence) > max(FEW_NATS, _PART * tokens)
