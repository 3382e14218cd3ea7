"""The damping λ of a layer. No torch."""

from __future__ import annotations

import math
from typing import Final

from whence.errors import InvalidRequestError
from whence.reasons import Reason

# Below this a mean of squares is subnormal in float32; the gradients themselves are below 1e-18.
SMALLEST: Final = 1e-37


def is_dead(mean: float) -> bool:
    """Return true for the mean(Λ) of a layer without gradients, to which nothing is attributed."""
    return mean < SMALLEST


def damping(mean: float, damping_factor: float) -> float:
    """Return the damping λ = damping_factor · mean(Λ) of a layer, positive.

    It is infinite for a layer without gradients (:func:`is_dead`), so that division by Λ + λ gives influence 0. It is
    never so small that Λ + λ could be 0.

    Raises :class:`~whence.errors.InvalidRequestError` (``NON_FINITE_FACTORS``) if ``mean`` is not finite.
    """
    if not math.isfinite(mean):
        raise InvalidRequestError(
            f"the mean corrected eigenvalue of a layer is {mean}: gradients overflowed when the factors were fitted; "
            "fit them again, with --precision float32 or float64",
            reason=Reason.NON_FINITE_FACTORS,
            field="factors",
        )
    return math.inf if is_dead(mean) else max(damping_factor * mean, SMALLEST)
