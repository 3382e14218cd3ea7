"""A certificate from what was measured: the report of retraining, and the checks that need none. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from whence_backends import certificates
from whence_backends.certificates import Certificate, Kind, Lds, Making, RankEffects, Stability, Step, Subject
from whence_backends.validation.checks.agreement import Agreement
from whence_backends.validation.checks.results import Checks
from whence_backends.validation.methods import BM25, DOT, EKFAC, NEGATIVE, POSITIVE, SIGNAL
from whence_backends.validation.report import Report
from whence_backends.validation.statistics.estimate import Estimate, Figure
from whence_backends.validation.statistics.groups import GroupAgreement
from whence_backends.validation.statistics.ranked import RankEffect


def certify(
    report: Report,
    *,
    kind: Kind,
    subject: Subject,
    making: Making,
    alpha: float,
    checks: Checks | None = None,
) -> Certificate:
    """Return the certificate of a report and of checks. What neither has is left out, and so said to be not measured.

    ``alpha`` is the share of the documents in each subset of the report.
    """
    lds = {row.name: _estimate(row.lds) for row in report.methods}
    return Certificate(
        kind=kind,
        subject=subject,
        making=making,
        lds=Lds(
            influence=lds.get(EKFAC),
            ceiling=_estimate(report.ceiling),
            signal=lds.get(SIGNAL),
            positive=lds.get(POSITIVE),
            negative=lds.get(NEGATIVE),
            bm25=lds.get(BM25),
            dot_product=lds.get(DOT),
            subsets=report.basis.subsets,
            repeated=report.basis.repeated,
            queries=report.basis.queries,
            alpha=alpha,
        ),
        ranks=_ranks(report.ranks_of(EKFAC).effects),
        groups=_groups(report),
        stability=Stability() if checks is None else _stability(checks),
        checks=certificates.Checks() if checks is None else _checks(checks),
    )


def _estimate(figure: Figure) -> certificates.Estimate | None:
    return certificates.Estimate.of(figure.value, figure.standard_error) if isinstance(figure, Estimate) else None


def _ranks(effects: Sequence[RankEffect]) -> RankEffects:
    """Return the buckets from either end, the best and the most negative hit first."""
    positive = [_rank(effect) for effect in effects if effect.first > 0]
    negative = [_rank(effect) for effect in effects if effect.first < 0]
    return RankEffects(
        positive=tuple(sorted(filter(None, positive), key=lambda bucket: bucket.first_rank)),
        negative=tuple(sorted(filter(None, negative), key=lambda bucket: bucket.first_rank)),
    )


def _rank(effect: RankEffect) -> certificates.RankEffect | None:
    predicted, measured = _estimate(effect.predicted), _estimate(effect.measured)
    if predicted is None or measured is None:
        return None
    first, last = sorted((abs(effect.first), abs(effect.last)))
    signs = _estimate(effect.right_signs)
    return certificates.RankEffect(
        first_rank=first,
        last_rank=last,
        predicted=predicted.value,
        measured=measured,
        right_signs=None if signs is None else signs.value,
    )


def _groups(report: Report) -> certificates.Groups | None:
    """Return the agreement of the sums of signals over sources, if models were trained without some."""
    for row in report.groups:
        if row.method == SIGNAL and isinstance(row.agreement, GroupAgreement):
            coverage, correlation = _estimate(row.agreement.coverage), _estimate(row.agreement.spearman)
            if coverage is not None and correlation is not None:
                return certificates.Groups(
                    coverage=coverage.value, correlation=correlation.value, groups=row.agreement.groups
                )
    return None


def _stability(checks: Checks) -> Stability:
    precision = checks.precision
    return Stability(
        label_seed=_agreement(checks.label_seed.agreement, "two seeds of the labels"),
        half_data=_agreement(checks.half_data.agreement, "two halves of the sample"),
        precision=_agreement(precision.agreement, f"{precision.served} with {precision.other}"),
    )


def _agreement(agreement: Agreement, compared: str) -> certificates.Agreement:
    return certificates.Agreement(
        top10_overlap=agreement.overlap.mean, rank_correlation=agreement.spearman.mean, compared=compared
    )


def _checks(checks: Checks) -> certificates.Checks:
    bm25 = next((row.agreement.overlap.mean for row in checks.baselines if row.name == "bm25"), None)
    coverage, steps = checks.coverage, checks.steps
    slopes = [(band.pairs, band.slope) for band in steps.bands if band.slope is not None]
    pairs = sum(count for count, _ in slopes)
    return certificates.Checks(
        gradient_error=coverage.gradient_error,
        attributed_share=coverage.attributed / coverage.parameters if coverage.parameters else None,
        step=Step(
            slope=math.fsum(count * slope for count, slope in slopes) / pairs,
            impossible_share=steps.promising_hits / steps.hits,
        )
        if pairs and steps.hits
        else None,
        bm25_overlap=bm25,
    )
