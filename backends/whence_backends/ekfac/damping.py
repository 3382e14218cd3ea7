"""λ, by which a layer's curvature is damped. No torch."""

from __future__ import annotations

import math
from typing import Final

from whence.errors import InvalidRequestError
from whence.reasons import Reason

# Below this a mean of squares holds too few digits in float32: the gradients themselves are below 1e-18.
SMALLEST: Final = 1e-37


def is_dead(mean: float) -> bool:
    """Return whether a layer with this mean(Λ) has no gradients: nothing is attributed to it."""
    return mean < SMALLEST


def damping(mean: float, damping_factor: float) -> float:
    """Return λ = damping_factor · mean(Λ) of a layer, positive.

    It is infinite for a layer without gradients (:func:`is_dead`): dividing by Λ + λ then gives 0, its influence. It is
    never so small that Λ + λ could be 0 where Λ is.

    Raises :class:`~whence.errors.InvalidRequestError` (``NON_FINITE_FACTORS``) where ``mean`` is not a number.
    """
    if not math.isfinite(mean):
        raise InvalidRequestError(
            f"the mean corrected eigenvalue of a layer is {mean}: gradients overflowed when the factors were fitted; "
            "fit them again, with --precision float32 or float64",
            reason=Reason.NON_FINITE_FACTORS,
            field="factors",
        )
    return math.inf if is_dead(mean) else max(damping_factor * mean, SMALLEST)
