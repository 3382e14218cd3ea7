"""A certificate with figures of a real measurement, to be altered by tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from whence_backends.certificates import (
    Agreement,
    Certificate,
    Checks,
    Estimate,
    Groups,
    Kind,
    Lds,
    Making,
    RankEffect,
    RankEffects,
    Stability,
    Step,
    Subject,
)

SUBJECT = Subject(model="tiny", model_digest="blake3:m", factors_digest="blake3:f", corpus_digest="blake3:c")
MAKING = Making(
    date="2026-11-26",
    machine="2 cores, no GPU",
    method="40 random halves of the corpus retrained from scratch, 24 of them twice",
    whence_version="0.1.0",
    damping_factor=0.1,
    engine="pytorch/float32",
)
POSITIVE = (
    RankEffect(first_rank=1, last_rank=1, predicted=2.72, measured=Estimate.of(3.24, 0.58), right_signs=1.0),
    RankEffect(first_rank=2, last_rank=3, predicted=1.31, measured=Estimate.of(1.00, 0.23), right_signs=0.83),
    RankEffect(first_rank=4, last_rank=10, predicted=0.45, measured=Estimate.of(0.29, 0.10), right_signs=0.62),
    RankEffect(first_rank=11, last_rank=30, predicted=0.205, measured=Estimate.of(-0.03, 0.05), right_signs=0.5),
)
NEGATIVE = (RankEffect(first_rank=1, last_rank=10, predicted=-0.63, measured=Estimate.of(-0.08, 0.08)),)
LDS = Lds(
    influence=Estimate.of(0.518, 0.047),
    ceiling=Estimate.of(0.80),
    signal=Estimate.of(0.589, 0.045),
    positive=Estimate.of(0.606, 0.041),
    negative=Estimate.of(0.059, 0.029),
    bm25=Estimate.of(0.452, 0.038),
    dot_product=Estimate.of(0.413, 0.05),
    subsets=40,
    repeated=24,
    queries=24,
    alpha=0.5,
)
WHOLE = Certificate(
    kind=Kind.MODEL,
    subject=SUBJECT,
    making=MAKING,
    lds=LDS,
    ranks=RankEffects(positive=POSITIVE, negative=NEGATIVE),
    groups=Groups(coverage=0.93, correlation=0.71, groups=8),
    stability=Stability(
        label_seed=Agreement(top10_overlap=0.96, rank_correlation=0.992),
        half_data=Agreement(top10_overlap=0.96, rank_correlation=0.991),
        precision=Agreement(top10_overlap=0.96, rank_correlation=0.997, compared="bfloat16 with float32"),
    ),
    checks=Checks(
        gradient_error=2e-6,
        attributed_share=0.49,
        pbrf=Estimate.of(0.91, 0.02),
        step=Step(slope=0.55, impossible_share=1 / 3),
        bm25_overlap=0.41,
    ),
)
EMPTY = Certificate(kind=Kind.MODEL, subject=SUBJECT, making=MAKING)


def negatives_shown(certificate: Certificate = WHOLE) -> Certificate:
    """Return a certificate by which negative influences mean something."""
    effect = replace(NEGATIVE[0], measured=Estimate.of(-0.5, 0.1))
    lds = replace(certificate.lds, negative=Estimate.of(0.3, 0.05))
    return replace(certificate, lds=lds, ranks=replace(certificate.ranks, negative=(effect,)))


def bound_to(certificate: Certificate = WHOLE, **digests: Any) -> Certificate:
    """Return a certificate of artefacts with other digests."""
    return replace(certificate, subject=replace(certificate.subject, **digests))
