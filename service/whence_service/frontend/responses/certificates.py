"""The certificate of a model, as answers have it."""

from __future__ import annotations

from whence.certificates import NOT_VALIDATED
from whence.v1 import certificate_pb2, model_pb2


def certificate_summary(model: model_pb2.Model) -> certificate_pb2.CertificateSummary:
    """Return the certificate of a model in short; without one it says that the model was not validated."""
    certificate = model.certificate
    return certificate_pb2.CertificateSummary(
        essence=certificate.essence or NOT_VALIDATED, digest=certificate.digest, kind=certificate.kind
    )
