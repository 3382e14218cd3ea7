"""The certificate of a generation: that of all of its workers, or none."""

from __future__ import annotations

from collections.abc import Sequence

from whence.reasons import WarningCode
from whence.v1 import certificate_pb2, model_pb2


def share_certificate(model: model_pb2.Model, certificates: Sequence[certificate_pb2.Certificate]) -> None:
    """Give a model the certificate that its workers share; where they differ it has none, and a warning says so.

    A worker without a certificate differs from those with one: while a certificate is rolled out, answers do not
    depend on which worker was asked first.
    """
    digests = sorted({certificate.digest for certificate in certificates})
    if len(digests) < 2:
        return
    model.ClearField("certificate")
    listed = ", ".join(digest or "none" for digest in digests)
    model.warnings.add(
        code=WarningCode.CERTIFICATES_DIFFER,
        message=f"the workers serve different certificates ({listed}), so that none counts: start all of them with the "
        "same --certificate",
    )
