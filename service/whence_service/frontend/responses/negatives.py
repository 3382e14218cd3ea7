"""Warnings of negative influences that nobody has shown to mean anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from whence.reasons import WarningCode
from whence.v1 import attribution_pb2, certificate_pb2, model_pb2
from whence_service.frontend.request.context import RequestContext


def of_attributions(
    context: RequestContext[object], attributions: Iterable[attribution_pb2.Attribution]
) -> Iterator[attribution_pb2.Warning]:
    """Yield a warning if any negative hit is returned and negative influences were not validated."""
    yield from of_influences(context, (hit.influence for attribution in attributions for hit in attribution.negative))


def of_influences(context: RequestContext[object], influences: Iterable[float]) -> Iterator[attribution_pb2.Warning]:
    """Yield a warning if any influence is negative and negative ones were not validated."""
    reason = _unvalidated(context.generation.model)
    if reason and any(influence < 0 for influence in influences):
        yield attribution_pb2.Warning(
            code=WarningCode.NEGATIVE_NOT_VALIDATED,
            message=f"negative influence is not validated for this model: {reason}. Where it was measured, sequences "
            "of negative influence did not make outputs less likely; do not conclude from them that they do",
        )


def _unvalidated(model: model_pb2.Model) -> str:
    """Return the reason why negative influences of a model do not count; empty where its certificate shows them."""
    if not model.HasField("certificate"):
        return "it has no certificate"
    if not model.certificate.negative_validated:
        return "its certificate does not show it"
    if model.certificate.kind != certificate_pb2.CERTIFICATE_KIND_MODEL:
        return "its certificate shows it for a small proxy model alone"
    return ""
