"""The one line in words: what was measured, and what was not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certificates.examples import EMPTY, LDS, POSITIVE, WHOLE, negatives_shown
from whence_backends.certificates import Certificate, Estimate, Kind, Lds, RankEffects, essence

WEAK = RankEffects(positive=(replace(POSITIVE[0], measured=Estimate.of(0.1, 0.5)),))


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        (WHOLE, "LDS 0.52 of 0.80; valid to rank 10; sizes x 1.2; negative influences: not shown"),
        (negatives_shown(), "LDS 0.52 of 0.80; valid to rank 10; sizes x 1.2; negative influences: shown"),
        (
            replace(WHOLE, lds=replace(LDS, ceiling=None), ranks=RankEffects()),
            "LDS 0.52 (ceiling not measured); effect by rank not measured; sizes not measured; "
            "negative influences: not measured",
        ),
        (
            replace(WHOLE, lds=Lds(), ranks=WEAK),
            "LDS not measured; valid to no rank; sizes x 0.037; negative influences: not measured",
        ),
        (EMPTY, "not held against retraining"),
    ],
)
def test_the_essence_says_what_was_measured_and_what_was_not(certificate: Certificate, words: str) -> None:
    assert essence(certificate) == words


@pytest.mark.parametrize("certificate", [WHOLE, EMPTY])
def test_the_essence_of_a_proxys_certificate_begins_with_that(certificate: Certificate) -> None:
    """Broken by: leaving it out where little was measured."""
    words = essence(replace(certificate, kind=Kind.PROXY))
    assert words == f"of a small proxy model trained on this corpus, not of this model: {essence(certificate)}"
