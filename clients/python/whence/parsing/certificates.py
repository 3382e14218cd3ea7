"""Certificates."""

from __future__ import annotations

from typing import Any, Final

from whence import certificates
from whence.v1 import certificate_pb2

_KINDS: Final = {
    certificate_pb2.CERTIFICATE_KIND_MODEL: "model",
    certificate_pb2.CERTIFICATE_KIND_PROXY: "proxy",
}


def parse_summary(proto: certificate_pb2.CertificateSummary) -> certificates.CertificateSummary:
    """Return the certificate behind an answer; that of a server which says nothing is none."""
    return certificates.CertificateSummary(
        essence=proto.essence or certificates.NOT_VALIDATED, digest=proto.digest, kind=_KINDS.get(proto.kind, "")
    )


def parse_certificate(proto: certificate_pb2.Certificate) -> certificates.Certificate:
    """Return a certificate. Its figures have the names of the message's; those that are unset are None."""
    measured: dict[str, Any] = {
        field.name: value
        for field, value in proto.ListFields()
        if field.has_presence and hasattr(certificates.Certificate, field.name)
    }
    return certificates.Certificate(
        digest=proto.digest,
        essence=proto.essence,
        kind=_KINDS.get(proto.kind, ""),
        measured_model=proto.measured_model,
        date=proto.date,
        method=proto.method,
        machine=proto.machine,
        whence_version=proto.whence_version,
        damping_factor=proto.damping_factor,
        negative_validated=proto.negative_validated,
        **measured,
    )
