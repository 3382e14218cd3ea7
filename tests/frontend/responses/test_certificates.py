"""Every answer says how true its model's influences were measured to be, or that they were not."""

from __future__ import annotations

import pytest

from whence.v1 import attribution_service_pb2, certificate_pb2

ESSENCE = "LDS 0.52 of 0.80; valid to rank 10; sizes x 0.6; negative influences: not shown"


@pytest.fixture
async def certified(start_worker, start_front):
    """A front end whose worker serves a certificate."""
    worker = await start_worker()
    worker.stub.certificate = certificate_pb2.Certificate(
        digest="blake3:9", essence=ESSENCE, kind=certificate_pb2.CERTIFICATE_KIND_MODEL, lds=0.52
    )
    return await start_front(worker)


def requests(query):
    selectors = [attribution_service_pb2.SequenceSelector(sequence_id="doc3#0")]
    return {
        "Attribute": attribution_service_pb2.AttributeRequest(query=query),
        "BatchAttribute": attribution_service_pb2.BatchAttributeRequest(queries=[query]),
        "Score": attribution_service_pb2.ScoreRequest(queries=[query], sequences=selectors),
        "Explain": attribution_service_pb2.ExplainRequest(query=query, sequence=selectors[0]),
    }


@pytest.mark.parametrize("method", ["Attribute", "BatchAttribute", "Score", "Explain"])
async def test_every_answer_has_the_essence_of_the_certificate(certified, front, ask, method):
    request = requests(ask("a"))[method]
    with_one = (await getattr(certified.stub, method)(request)).metadata.provenance.certificate
    assert (with_one.essence, with_one.digest, with_one.kind) == (
        ESSENCE,
        "blake3:9",
        certificate_pb2.CERTIFICATE_KIND_MODEL,
    )
    without = (await getattr(front.stub, method)(request)).metadata.provenance.certificate
    assert (without.essence, without.digest) == ("not validated", "")


async def test_a_model_is_listed_with_its_certificate(certified, front):
    request = attribution_service_pb2.GetModelRequest()
    assert (await certified.stub.GetModel(request)).model.certificate.lds == 0.52
    assert not (await front.stub.GetModel(request)).model.HasField("certificate")
