"""Check: how much of a ranking changes when the labels of the fit are drawn anew?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from whence_backends.contract import Float64Array
from whence_backends.validation.checks.agreement import Agreement, agreement
from whence_backends.validation.checks.fits import FIRST_SEED, SECOND_SEED

SERVED = "served"


@dataclass(frozen=True, kw_only=True)
class LabelSeed:
    """The agreement of two fits on the same ``fitted_sequences`` with other labels, and of the first with those served.

    ``sampled`` is false where the served factors were fitted on the labels of the data: then both fits are the same.
    """

    fitted_sequences: int
    sampled: bool
    agreement: Agreement
    with_served: Agreement


def label_seed(scores: Mapping[str, Float64Array], fitted_sequences: int, labels: str) -> LabelSeed:
    """Return the check, from scores [Q, n] under the fits of :mod:`.fits` and under the served factors."""
    return LabelSeed(
        fitted_sequences=fitted_sequences,
        sampled=labels != "empirical",
        agreement=agreement(scores[FIRST_SEED], scores[SECOND_SEED]),
        with_served=agreement(scores[SERVED], scores[FIRST_SEED]),
    )
