"""GroupInfluence: the influence of each part of the corpus, by the index's sums and an exact sample."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

from whence.errors import InvalidRequestError
from whence.reasons import Reason, WarningCode
from whence.v1 import attribution_pb2, attribution_service_pb2
from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.frontend.calls.group_draws import Draw, merge_draws, scored_draw
from whence_service.frontend.calls.group_estimates import GroupTotals, merge_totals
from whence_service.frontend.calls.group_results import GroupResult, group_results
from whence_service.frontend.request.checked import GroupOptions
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.request.options import MIN_SAMPLES
from whence_service.frontend.responses import linear_range, negatives
from whence_service.frontend.responses.metadata import build_metadata
from whence_service.frontend.responses.units import InfluenceScale
from whence_service.frontend.search.candidates import ShardSearch
from whence_service.frontend.search.policy import choose_search, no_matches
from whence_service.frontend.search.preparation import prepare
from whence_service.frontend.search.rescoring import Rescoring
from whence_service.frontend.workers.routing import ShardGroup
from whence_service.rpc.deadlines import deadline_error

# A worker scores sequences in the order of their lengths, so a deadline would leave gaps in the sample. It is therefore
# asked for this many first, and for twice as many each further time.
_ROUND: Final = 32
# The most groups in an answer.
MAX_GROUPS: Final = 10_000


async def group_influence(context: RequestContext[GroupOptions]) -> attribution_service_pb2.GroupInfluenceResponse:
    """Return the signal and the influence of every group on the query.

    If the deadline leaves no time for the whole sample, a smaller one is used: every prefix of the sample is a sample.
    Raises :class:`~whence.errors.MismatchError` (``MISSING_INDEX``) without an index, and
    :class:`~whence.errors.NotFoundError` for a filter that selects nothing.
    """
    options = context.options
    search = choose_search(context.generation, attribution_pb2.SEARCH_INDEX_RERANK)
    prepared = await prepare(context, sketch=True)
    with context.watch.stage("search"):
        answers = await _sums(context, prepared.queries[0])
    searched = sum(answer.sequences_searched for answer in answers)
    if not searched:
        raise no_matches()
    totals = merge_totals(_totals(group) for answer in answers for group in answer.groups)
    _require_groups(totals, options.group_by)
    draws = merge_draws(answers, options.samples + 1)
    sample, threshold = scored_draw(draws, await _exact(context, draws[: options.samples]))
    if len(sample) < MIN_SAMPLES and threshold is not None:
        raise deadline_error(f"after {len(sample)} sequences were scored; fewer than {MIN_SAMPLES} tell no error")
    [whole] = merge_totals(_totals(answer.total) for answer in answers)
    *sums, total = await group_results(totals, whole, sample, threshold)
    scale = InfluenceScale.of(context.generation)
    log_likelihood = prepared.queries[0].log_likelihood
    outside = linear_range.of_influences(
        context, ((scale.influence(group.effect), log_likelihood) for group in (*sums, total))
    )
    return attribution_service_pb2.GroupInfluenceResponse(
        groups=[_message(group, scale) for group in sums],
        total=_message(total, scale),
        log_likelihood=log_likelihood,
        metadata=build_metadata(
            context,
            warnings=(
                *prepared.warnings,
                *_warnings(len(sample), min(options.samples, searched)),
                *outside,
                *negatives.of_influences(context, (group.effect for group in sums)),
            ),
            sequences_scored=len(sample),
            sequences_searched=searched,
            search=search,
            with_layers=False,
        ),
    )


async def _exact(context: RequestContext[GroupOptions], draws: Sequence[Draw]) -> dict[int, float]:
    """Return the influence of the drawn sequences by position, as far as time permitted."""
    rescoring = Rescoring(context)
    start, step = 0, _ROUND * max(1, len(context.replicas.groups()))
    while start < len(draws) and rescoring.complete:
        async with aclosing(rescoring.run(draw.position for draw in draws[start : start + step])) as news:
            async for _ in news:
                pass
        start, step = start + step, 2 * step
    return {position: row[0] for position, row in rescoring.exact.items()}


async def _sums(
    context: RequestContext[GroupOptions], prepared: messages.PreparedQuery
) -> list[messages.EstimateGroupsResponse]:
    """Return the sums and draws of every shard's index."""

    async def call(group: ShardGroup) -> messages.EstimateGroupsResponse:
        request = messages.EstimateGroupsRequest(
            sketch=prepared.sketch,
            shards=group.shards,
            group_by=context.options.group_by,
            samples=context.options.samples,
            seed=context.options.seed,
            filter=context.options.filter,
        )
        return await context.workers.ask(group.worker, lambda stub: stub.EstimateGroups, request)

    return await ShardSearch(context, filtered=context.options.filter is not None).ask(call)


def _require_groups(totals: Sequence[GroupTotals], group_by: str) -> None:
    if len(totals) > MAX_GROUPS:
        raise InvalidRequestError(
            f"the sequences are in {len(totals)} groups; at most {MAX_GROUPS} are summed: group them by something "
            "coarser, or filter them",
            reason=Reason.TOO_MANY_GROUPS,
            field="group_by",
        )
    if [group.name for group in totals] == [""] and group_by.startswith("metadata."):
        raise InvalidRequestError(
            f"no sequence has a value for {group_by}; check the spelling of the field",
            reason=Reason.UNKNOWN_GROUPING,
            field="group_by",
        )


def _totals(group: messages.EstimatedGroup) -> GroupTotals:
    return GroupTotals(
        name=group.name,
        sequences=group.sequences,
        estimate=group.estimate,
        scale=group.scale,
        squared_scale=group.squared_scale,
    )


def _message(group: GroupResult, scale: InfluenceScale) -> attribution_service_pb2.GroupInfluence:
    message = attribution_service_pb2.GroupInfluence(
        name=group.estimate.name,
        sequences=group.estimate.sequences,
        influence=scale.influence(group.estimate.influence),
        standard_error=scale.influence(group.estimate.standard_error),
        sampled=group.estimate.sampled,
    )
    if group.signal is not None and group.interval is not None:
        message.signal = scale.influence(group.signal.signal)
        message.signal_low = scale.influence(group.interval.low)
        if group.interval.high is not None:
            message.signal_high = scale.influence(group.interval.high)
    return message


def _warnings(scored: int, requested: int) -> list[attribution_pb2.Warning]:
    if scored >= requested:
        return []
    return [
        attribution_pb2.Warning(
            code=WarningCode.SAMPLE_INCOMPLETE,
            message=f"the deadline left time to score {scored} of {requested} sequences; the standard errors account "
            "for it: allow more time for smaller ones",
        )
    ]
