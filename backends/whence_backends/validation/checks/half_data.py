"""Check: how much of a ranking changes when the factors are fitted on other sequences?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from whence_backends.contract import Float64Array
from whence_backends.validation.checks.agreement import Agreement, agreement
from whence_backends.validation.checks.fits import FIRST_HALF, SECOND_HALF


@dataclass(frozen=True, kw_only=True)
class HalfData:
    """The agreement of fits on two disjoint random samples of ``fitted_sequences`` each, with other labels."""

    fitted_sequences: int
    agreement: Agreement


def half_data(scores: Mapping[str, Float64Array], fitted_sequences: int) -> HalfData:
    """Return the check, from scores [Q, n] under the fits of :mod:`.fits`."""
    return HalfData(fitted_sequences=fitted_sequences, agreement=agreement(scores[FIRST_HALF], scores[SECOND_HALF]))
