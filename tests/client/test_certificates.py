"""Certificates as clients have them: figures that were not measured are None, and no certificate is said in words."""

from __future__ import annotations

import whence
from whence import parsing
from whence.v1 import certificate_pb2, model_pb2


def test_figures_that_are_unset_are_none_and_zeros_are_zeros() -> None:
    """Broken by: reading an unset figure as 0, or a 0 as unset."""
    proto = certificate_pb2.Certificate(
        digest="blake3:1", kind=certificate_pb2.CERTIFICATE_KIND_PROXY, lds=0.5, valid_to_rank=0, damping_factor=0.1
    )
    certificate = parsing.model(model_pb2.Model(certificate=proto)).certificate
    assert certificate is not None
    assert (certificate.lds, certificate.lds_ceiling, certificate.valid_to_rank) == (0.5, None, 0)
    assert (certificate.kind, certificate.negative_validated) == ("proxy", False)


def test_every_field_of_the_message_is_one_of_the_result() -> None:
    fields = {field.name for field in certificate_pb2.Certificate.DESCRIPTOR.fields}
    assert fields == set(whence.Certificate.__dataclass_fields__)


def test_a_model_without_one_is_not_validated() -> None:
    model = parsing.model(model_pb2.Model())
    assert (model.certificate, model.validation) == (None, "not validated")
    assert whence.CertificateSummary().essence == "not validated"
