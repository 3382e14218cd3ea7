"""Warnings of influences that are too large to be read as nats, with the cause and the remedy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

from whence.linear_range import is_above_certainty, is_outside, is_outside_for_tokens
from whence.reasons import WarningCode
from whence.v1 import attribution_pb2
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.responses.units import InfluenceScale

_SOURCES: Final = {
    "corpus": ", the number of sequences of the corpus that the factors were fitted on",
    "fit": ", as was given to the fit",
    "worker": ", as the worker is set",
}


def of_attributions(
    context: RequestContext[object], attributions: Iterable[attribution_pb2.Attribution]
) -> Iterator[attribution_pb2.Warning]:
    """Yield a warning if any hit is outside the linear range."""
    pairs = (
        (hit.influence, attribution.log_likelihood)
        for attribution in attributions
        for hit in (*attribution.positive, *attribution.negative)
    )
    return of_influences(context, pairs)


def of_sums(attributions: Iterable[attribution_pb2.Attribution]) -> Iterator[attribution_pb2.Warning]:
    """Yield a warning if the positive hits of any attribution promise, together, a probability above 1."""
    sums = [
        (math.fsum(hit.influence for hit in attribution.positive), attribution.log_likelihood)
        for attribution in attributions
    ]
    above = [pair for pair in sums if is_above_certainty(*pair)]
    if above:
        total, log_likelihood = max(above, key=lambda pair: pair[0] + pair[1])
        yield attribution_pb2.Warning(
            code=WarningCode.SUM_ABOVE_CERTAINTY,
            message=f"together the positive hits promise {total:+,.3g} nats on a log-likelihood of "
            f"{log_likelihood:,.3g}, a probability above 1: influences are first-order effects of single sequences, "
            "and do not add up; compare them with each other",
        )


def of_influences(
    context: RequestContext[object], pairs: Iterable[tuple[float, float]]
) -> Iterator[attribution_pb2.Warning]:
    """Yield a warning if any influence, paired with its log-likelihood, is outside the linear range."""
    outside = [pair for pair in pairs if is_outside(*pair)]
    if outside:
        influence, log_likelihood = max(outside, key=lambda pair: abs(pair[0]))
        yield _warning(context, influence, f" on a log-likelihood of {log_likelihood:,.3g}")


def of_self_influences(
    context: RequestContext[object], hits: Iterable[attribution_pb2.Hit]
) -> Iterator[attribution_pb2.Warning]:
    """Yield a warning if any self-influence is outside the linear range."""
    outside = [hit.influence for hit in hits if is_outside_for_tokens(hit.influence, hit.sequence.token_count)]
    if outside:
        yield _warning(context, max(outside, key=abs), "")


def _warning(context: RequestContext[object], influence: float, on_what: str) -> attribution_pb2.Warning:
    size = InfluenceScale.of(context.generation).training_set_size
    source = _SOURCES.get(context.generation.model.training_set_source, "")
    return attribution_pb2.Warning(
        code=WarningCode.OUTSIDE_LINEAR_RANGE,
        message=f"influences as large as {influence:+,.1f} nats{on_what} are not to be read as nats: an influence is a "
        "linear extrapolation of the effect of a sequence's presence, true where that is small; only their order means "
        f"something. They are divided by N = {size:,}{source}: if the model was trained on more "
        "sequences, give their number (--training-sequences of `whence fit` or of the worker), else ask with a larger "
        "damping_factor",
    )
