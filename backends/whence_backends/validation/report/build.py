"""The report, of what was measured and what is claimed. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whence.errors import NotFoundError
from whence.reasons import Reason
from whence_backends.validation.group_intervals import served_intervals
from whence_backends.validation.outcomes import FloatArray, Outcomes
from whence_backends.validation.plan import RunKind
from whence_backends.validation.report.inputs import Claims
from whence_backends.validation.report.removed import removals
from whence_backends.validation.report.report import (
    ALL,
    Basis,
    Memorised,
    MethodGroups,
    MethodRanks,
    MethodScore,
    Report,
)
from whence_backends.validation.statistics.calibration import Calibration, calibration
from whence_backends.validation.statistics.ceiling import ceiling, reliability
from whence_backends.validation.statistics.effects import in_out
from whence_backends.validation.statistics.estimate import Figure, Undetermined
from whence_backends.validation.statistics.groups import GroupAgreement, Losses, group_agreement, losses_without
from whence_backends.validation.statistics.lds import Lds, linear_datamodeling_score
from whence_backends.validation.statistics.memorisation import Memorisation, memorisation
from whence_backends.validation.statistics.ranked import effects_by_rank, right_signs
from whence_backends.validation.statistics.slopes import median_slope
from whence_backends.validation.statistics.units import units_of

_POINTS = 1000


def build_report(outcomes: Outcomes, claims: Claims, *, title: str = "", notes: tuple[str, ...] = ()) -> Report:
    """Return the report. Subsets that were trained with several seeds count once, by their mean.

    Raises :class:`~whence.errors.NotFoundError` if no subset is measured.
    """
    subsets = outcomes.of(RunKind.SUBSET)
    if not subsets.runs:
        raise NotFoundError(
            "no run on a subset is measured yet, so there is nothing to compare with; go on with `whence validate run`",
            reason=Reason.RUN_NOT_FOUND,
        )
    mean = subsets.averaged()
    names = [run.name for run in subsets.runs]
    seeds = reliability(*_pairs(subsets))
    return Report(
        title=title,
        basis=_basis(outcomes, mean),
        reference=claims.reference,
        kinds=_kinds(claims),
        reliability=seeds,
        ceiling=ceiling(seeds, [names.count(run.name) for run in mean.runs]),
        methods=_methods(mean, claims),
        ranks=_ranks(mean, claims),
        calibration=_calibration(mean, claims),
        memorisation=_memorised(mean, claims),
        groups=_groups(outcomes, claims),
        removals=removals(outcomes, claims),
        notes=notes,
    )


def _basis(outcomes: Outcomes, subsets: Outcomes) -> Basis:
    return Basis(
        subsets=len(subsets.runs),
        repeated=len(outcomes.of(RunKind.SUBSET).pairs()),
        full=len(outcomes.of(RunKind.FULL).runs),
        without=len(outcomes.of(RunKind.WITHOUT).runs),
        removals=len(outcomes.of(RunKind.REMOVAL).runs),
        queries=outcomes.queries.shape[1],
        sequences=outcomes.members.shape[1],
        units=units_of(subsets.members).members.shape[1],
    )


def _pairs(subsets: Outcomes) -> tuple[FloatArray, FloatArray]:
    pairs = np.array(subsets.pairs(), np.intp).reshape(-1, 2)
    return subsets.queries[pairs[:, 0]], subsets.queries[pairs[:, 1]]


def _kinds(claims: Claims) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(claims.kinds))
    return kinds if len(kinds) > 1 else ()


def _masks(claims: Claims) -> dict[str, NDArray[np.bool_]]:
    return {kind: np.array([other == kind for other in claims.kinds]) for kind in _kinds(claims)}


def _methods(subsets: Outcomes, claims: Claims) -> tuple[MethodScore, ...]:
    scores = {
        name: linear_datamodeling_score(subsets.members, values, subsets.queries)
        for name, values in claims.scores.items()
    }
    reference = scores[claims.reference]
    return tuple(
        MethodScore(
            name=name,
            lds=_estimate(score),
            by_kind={kind: _estimate(score, mask) for kind, mask in _masks(claims).items()},
            difference=_difference(score, reference, is_reference=name == claims.reference),
            slope=_slope(subsets, claims, name),
            silent=score.silent if isinstance(score, Lds) else 0,
        )
        for name, score in scores.items()
    )


def _estimate(score: Lds | Undetermined, mask: NDArray[np.bool_] | None = None) -> Figure:
    return score if isinstance(score, Undetermined) else score.estimate(mask)


def _difference(score: Lds | Undetermined, reference: Lds | Undetermined, *, is_reference: bool) -> Figure:
    if is_reference:
        return Undetermined(reason="the others are compared with this method")
    if isinstance(score, Undetermined):
        return score
    return reference if isinstance(reference, Undetermined) else score.minus(reference)


def _slope(subsets: Outcomes, claims: Claims, name: str) -> Figure:
    if name not in claims.in_nats:
        return Undetermined(reason="the scores are not in nats")
    return median_slope(subsets.members, claims.scores[name], subsets.queries)


def _ranks(subsets: Outcomes, claims: Claims) -> tuple[MethodRanks, ...]:
    units = units_of(subsets.members)
    masks = {ALL: np.ones(subsets.queries.shape[1], bool), **_masks(claims)}
    effects = {kind: in_out(units.members, subsets.queries[:, mask]) for kind, mask in masks.items()}
    sums = {name: units.sums(values) for name, values in claims.scores.items()}
    return tuple(
        MethodRanks(
            method=name,
            kind=kind,
            in_nats=name in claims.in_nats,
            effects=effects_by_rank(sums[name][mask], effects[kind]),
            signs=right_signs(sums[name][mask], effects[kind]),
        )
        for name in claims.scores
        for kind, mask in masks.items()
        # Of the other methods, what all queries say is enough.
        if kind == ALL or name in claims.in_nats
    )


def _calibration(subsets: Outcomes, claims: Claims) -> Calibration | Undetermined:
    if claims.signal is None or claims.significance is None:
        return Undetermined(reason="no significance is claimed")
    units = units_of(subsets.members)
    alone = np.bincount(units.of_sequence)[units.of_sequence] == 1
    if not alone.any():
        return Undetermined(reason="every sequence shares its document with others, whose effects are not told apart")
    effects = in_out(subsets.members[:, alone], subsets.queries)
    return calibration(claims.signal[:, alone], claims.significance[:, alone], effects)


def _memorised(subsets: Outcomes, claims: Claims) -> Memorised | Undetermined:
    if claims.self_influence is None:
        return Undetermined(reason="self-influence was not computed")
    result = memorisation(subsets.members, subsets.sequences, claims.self_influence)
    if isinstance(result, Undetermined):
        return result
    return Memorised(
        sequences=len(result.sequences),
        spearman=result.spearman,
        pearson=result.pearson,
        top=result.top,
        overlap=result.overlap,
        overlap_by_chance=result.overlap_by_chance,
        points=_points(result),
    )


def _points(result: Memorisation) -> tuple[tuple[float, float], ...]:
    order = np.argsort(result.predicted, kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(_POINTS, len(order))).round().astype(np.intp))]
    return tuple(
        (float(f"{predicted:.6g}"), float(f"{measured:.6g}"))
        for predicted, measured in zip(result.predicted[chosen], result.measured[chosen], strict=True)
    )


def _groups(outcomes: Outcomes, claims: Claims) -> tuple[MethodGroups, ...]:
    """Return the agreement of each method's sums over the sources that runs were trained without."""
    without = outcomes.of(RunKind.WITHOUT)
    names = list(dict.fromkeys(run.name for run in without.runs))
    places = np.array([names.index(run.name) for run in without.runs], np.intp)
    losses = losses_without(outcomes.of(RunKind.FULL).queries, without.queries, places)
    if not names:
        return ()
    absent = ~without.averaged().members
    return tuple(
        MethodGroups(method=name, agreement=_agreement(absent, values, claims.errors.get(name), losses))
        for name, values in claims.scores.items()
    )


def _agreement(
    absent: NDArray[np.bool_], scores: FloatArray, errors: FloatArray | None, losses: Losses | Undetermined
) -> GroupAgreement | Undetermined:
    if isinstance(losses, Undetermined):
        return losses
    weights = absent.astype(np.float64)
    claimed = None if errors is None else served_intervals(weights, scores, errors)
    return group_agreement(weights @ scores.T, claimed, losses)
