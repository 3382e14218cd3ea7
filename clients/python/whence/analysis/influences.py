"""Influences as arrays: checked, and of a sign. ``N`` sequences, ``P`` influences of the sign."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from whence.errors import InvalidRequestError
from whence.reasons import Reason

Float64Array = npt.NDArray[np.float64]
Sign = Literal[1, -1]

# From fewer influences of a sign nothing is concluded.
FEWEST: Final = 50


def checked(influences: Iterable[float], name: str = "influences") -> Float64Array:
    """Return the influences as float64 [N]. Raises ``InvalidRequestError`` for NaN, infinities and other shapes."""
    values = np.asarray(influences if isinstance(influences, np.ndarray) else list(influences), dtype=np.float64)
    if values.ndim != 1:
        raise _invalid(f"{name} have {values.ndim} dimensions; expected a list of numbers, those of one query", name)
    infinite = np.flatnonzero(~np.isfinite(values))
    if infinite.size:
        raise _invalid(
            f"{name}[{infinite[0]}] is {values[infinite[0]]}, and {infinite.size:,} of {values.size:,} are no finite "
            "numbers; leave sequences without an influence out",
            name,
        )
    return values


def sizes_of_sign(values: Float64Array, sign: Sign) -> Float64Array:
    """Return the sizes of the influences of a sign, [P], the largest first. Zeros have no sign."""
    if sign not in (1, -1):
        raise InvalidRequestError(
            f"sign is {sign}: expected 1 for positive influences or -1 for negative ones",
            reason=Reason.INVALID_FIELD,
            field="sign",
        )
    sizes: Float64Array = np.sort(sign * values[sign * values > 0])[::-1]
    if sizes.size < FEWEST:
        kind = "positive" if sign > 0 else "negative"
        raise InvalidRequestError(
            f"{sizes.size:,} of {values.size:,} influences are {kind}; a study needs at least {FEWEST}: give those of "
            "all sequences, as `whence scores` writes them, not the first hits",
            reason=Reason.TOO_FEW_INFLUENCES,
            field="influences",
        )
    return sizes


def _invalid(message: str, field: str) -> InvalidRequestError:
    return InvalidRequestError(message, reason=Reason.INVALID_INFLUENCES, field=field)
