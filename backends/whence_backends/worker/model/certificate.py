"""The certificate of the served model as a message."""

from __future__ import annotations

from typing import Final

from whence.v1 import certificate_pb2
from whence_backends.certificates import Certificate, Estimate, Kind, essence

_KINDS: Final = {
    Kind.MODEL: certificate_pb2.CERTIFICATE_KIND_MODEL,
    Kind.PROXY: certificate_pb2.CERTIFICATE_KIND_PROXY,
}


def certificate_message(certificate: Certificate) -> certificate_pb2.Certificate:
    """Return the message with the essence and the key figures; those that were not measured are unset."""
    lds, checks, making = certificate.lds, certificate.checks, certificate.making
    return certificate_pb2.Certificate(
        digest=certificate.digest,
        essence=essence(certificate),
        kind=_KINDS[certificate.kind],
        measured_model=certificate.subject.model,
        date=making.date,
        method=making.method,
        machine=making.machine,
        whence_version=making.whence_version,
        damping_factor=making.damping_factor,
        subsets=lds.subsets,
        repeated_subsets=lds.repeated,
        queries=lds.queries,
        lds=_value(lds.influence),
        lds_standard_error=None if lds.influence is None else lds.influence.standard_error,
        lds_ceiling=_value(lds.ceiling),
        lds_signal=_value(lds.signal),
        lds_positive=_value(lds.positive),
        lds_negative=_value(lds.negative),
        lds_bm25=_value(lds.bm25),
        lds_dot_product=_value(lds.dot_product),
        valid_to_rank=certificate.ranks.valid_to_rank,
        size_ratio=_value(certificate.ranks.size_ratio),
        negative_validated=bool(certificate.negative_shown),
        right_signs=certificate.ranks.right_signs,
        pbrf_correlation=_value(checks.pbrf),
        step_slope=None if checks.step is None else checks.step.slope,
        impossible_share=None if checks.step is None else checks.step.impossible_share,
        bm25_overlap=checks.bm25_overlap,
    )


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value
