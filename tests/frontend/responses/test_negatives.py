"""Negative influences are said to be not validated, unless a certificate of the very model shows them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from whence.v1 import attribution_pb2, attribution_service_pb2, certificate_pb2, model_pb2
from whence_service.frontend.responses import negatives

SHOWN = certificate_pb2.Certificate(kind=certificate_pb2.CERTIFICATE_KIND_MODEL, negative_validated=True)
PROXY = certificate_pb2.Certificate(kind=certificate_pb2.CERTIFICATE_KIND_PROXY, negative_validated=True)
NOT_SHOWN = certificate_pb2.Certificate(kind=certificate_pb2.CERTIFICATE_KIND_MODEL)
CODE = "NEGATIVE_NOT_VALIDATED"


def said(certificate: certificate_pb2.Certificate | None, *influences: float) -> list[str]:
    model = model_pb2.Model(certificate=certificate)
    context: Any = SimpleNamespace(generation=SimpleNamespace(model=model))
    return [warning.message for warning in negatives.of_influences(context, influences)]


@pytest.mark.parametrize(
    ("certificate", "why"),
    [(None, "no certificate"), (NOT_SHOWN, "does not show it"), (PROXY, "proxy model alone")],
)
def test_it_is_said_why_a_negative_influence_is_not_validated(
    certificate: certificate_pb2.Certificate | None, why: str
) -> None:
    """Broken by: taking a proxy's certificate for the model's."""
    [message] = said(certificate, 1.0, -0.1)
    assert why in message


def test_a_certificate_that_shows_them_is_believed() -> None:
    assert said(SHOWN, 1.0, -0.1) == []


def test_positive_influences_need_no_warning() -> None:
    assert said(None, 1.0, 0.0) == []
    assert said(None) == []


@pytest.mark.parametrize(
    ("direction", "warned"),
    [
        (attribution_pb2.DIRECTION_POSITIVE, False),
        (attribution_pb2.DIRECTION_NEGATIVE, True),
        (attribution_pb2.DIRECTION_BOTH, True),
    ],
)
async def test_answers_with_negative_hits_carry_the_warning(front, ask, direction, warned):
    options = attribution_pb2.AttributionOptions(top_k=2, direction=direction)
    answer = await front.stub.Attribute(attribution_service_pb2.AttributeRequest(query=ask("a"), options=options))
    assert (CODE in {warning.code for warning in answer.metadata.warnings}) is warned
    batch = await front.stub.BatchAttribute(
        attribution_service_pb2.BatchAttributeRequest(queries=[ask("a"), ask("ab")], options=options)
    )
    assert (CODE in {warning.code for warning in batch.metadata.warnings}) is warned


async def test_a_model_whose_certificate_shows_them_is_not_warned_of(start_worker, start_front, ask):
    worker = await start_worker()
    worker.stub.certificate = SHOWN
    front = await start_front(worker)
    options = attribution_pb2.AttributionOptions(top_k=2, direction=attribution_pb2.DIRECTION_NEGATIVE)
    answer = await front.stub.Attribute(attribution_service_pb2.AttributeRequest(query=ask("a"), options=options))
    assert answer.attribution.negative
    assert CODE not in {warning.code for warning in answer.metadata.warnings}
