"""How large an influence may be and still be read as nats.

An influence is the slope of the log-likelihood at the model as it is, followed for one more copy of a sequence. It is
true for small changes; one that says more than a log-likelihood can do says only that the change would not be small.
"""

from __future__ import annotations

from typing import Final

# A change of so many nats is no longer small, unless it is less than a part of a long output's log-likelihood.
FEW_NATS: Final = 3.0
_PART: Final = 0.1
# What nobody is misled by, however sure the model is of its output already.
_LITTLE_NATS: Final = 0.1


def is_outside(influence: float, log_likelihood: float) -> bool:
    """Return whether an influence on an output of this log-likelihood, both in nats, is outside the linear range.

    So is one that raises a probability above 1, and one of more than a few nats.
    """
    there_is_to_gain = max(_LITTLE_NATS, -log_likelihood)
    return influence > there_is_to_gain or abs(influence) > max(FEW_NATS, _PART * abs(log_likelihood))


def is_outside_for_tokens(influence: float, tokens: int) -> bool:
    """Return whether an influence on so many tokens, taken at a nat each, is outside the linear range."""
    return abs(influence) > max(FEW_NATS, _PART * tokens)
