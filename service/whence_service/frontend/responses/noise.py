"""The noise of a query as an answer states it, and the signal in each hit. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from whence.reasons import WarningCode
from whence.significance import is_significant
from whence.v1 import attribution_pb2
from whence_service.frontend.request.checked import SearchOptions
from whence_service.frontend.responses.units import InfluenceScale
from whence_service.frontend.search.noise import QueryNoise
from whence_service.frontend.search.rankings import SearchResult
from whence_service.shrinkage.noise import FEWEST


def set_noise(
    attribution: attribution_pb2.Attribution, noise: QueryNoise, scale: InfluenceScale, *, significant_only: bool
) -> None:
    """State a query's noise, the signal and the significance of each hit, and how many hits are told from noise.

    With ``significant_only`` the other hits are dropped.
    """
    for hit in (*attribution.positive, *attribution.negative):
        hit.signal = scale.influence(noise.shrinkage.signal(hit.raw_influence))
        hit.significance = noise.shrinkage.significance(hit.raw_influence)
    attribution.positive_significant = _told(attribution.positive)
    attribution.negative_significant = _told(attribution.negative)
    if significant_only:  # split influences may differ from those that were ranked
        del attribution.positive[attribution.positive_significant :]
        del attribution.negative[attribution.negative_significant :]
    positive, negative = (noise.shrinkage.threshold(sign) for sign in (1, -1))
    attribution.noise.MergeFrom(
        attribution_pb2.Noise(
            scale=scale.influence(noise.shrinkage.scale),
            degrees_of_freedom=noise.shrinkage.tails.freedom,
            positive_threshold=None if positive is None else scale.influence(positive),
            negative_threshold=None if negative is None else scale.influence(negative),
            sequences=noise.distribution.known,
            sampled=noise.sampled,
            positive_significant=_beyond(noise, positive, sign=1),
            negative_significant=_beyond(noise, negative, sign=-1),
        )
    )


def _beyond(noise: QueryNoise, threshold: float | None, *, sign: int) -> float:
    return 0.0 if threshold is None else noise.distribution.beyond(threshold, sign=sign)


def _told(hits: Sequence[attribution_pb2.Hit]) -> int:
    return sum(is_significant(hit.significance) for hit in hits)


def noise_warnings(
    attributions: Sequence[attribution_pb2.Attribution], result: SearchResult, options: SearchOptions
) -> Iterator[attribution_pb2.Warning]:
    """Yield a warning if nothing of a query is told from noise, and if that was asked for but cannot be known."""
    known = [attribution for attribution in attributions if attribution.HasField("noise")]
    silent = sum(not (attribution.positive_significant or attribution.negative_significant) for attribution in known)
    if silent:
        which = f"for {silent} of {len(attributions)} queries " if len(attributions) > 1 else ""
        yield attribution_pb2.Warning(
            code=WarningCode.NOTHING_SIGNIFICANT,
            message=f"{which}no sequence that was asked for has an influence that is told from noise: the first hits "
            "are those of chance as much as of the training set; ask about another output, or a longer one",
        )
    unknown = len(attributions) - len(known)
    if unknown and (options.significant_only or result.noise_unknown):
        which = f"of {unknown} of {len(attributions)} queries " if len(attributions) > 1 else ""
        yield attribution_pb2.Warning(
            code=WarningCode.NOISE_UNKNOWN,
            message=f"the noise {which}is not known: {result.noise_unknown or _few(options)}"
            + ("; nothing can be told from it, and so nothing is returned" if options.significant_only else ""),
        )


def _few(options: SearchOptions) -> str:
    sample = "" if options.noise_sample else ", or no sample was asked for: noise_sample is 0"
    return f"fewer than {FEWEST} influences are known{sample}; ask without significant_only, or with a wider filter"
