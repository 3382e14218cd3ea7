"""A request whose workers go away begins anew with the generation that is whole then, and is answered by that alone."""

from __future__ import annotations

import asyncio

import pytest

from frontend.stub_worker import StubWorker
from whence.errors import MismatchError, UnavailableError
from whence.v1 import attribution_pb2
from whence.v1 import attribution_service_pb2 as messages

SEQUENCES = [messages.SequenceSelector(sequence_id=f"doc{position}#0") for position in range(3)]
OPTIONS = attribution_pb2.AttributionOptions(top_k=6)
CALLS = {
    "Attribute": lambda stub, query: stub.Attribute(messages.AttributeRequest(query=query, options=OPTIONS)),
    "BatchAttribute": lambda stub, query: stub.BatchAttribute(
        messages.BatchAttributeRequest(queries=[query], options=OPTIONS)
    ),
    "Score": lambda stub, query: stub.Score(messages.ScoreRequest(queries=[query], sequences=SEQUENCES)),
    "Explain": lambda stub, query: stub.Explain(messages.ExplainRequest(query=query, sequence=SEQUENCES[0])),
}


class Restless(StubWorker):
    """A worker that holds another generation whenever it is asked for something."""

    async def GetInfo(self, request, context):  # noqa: N802 - the protocol's name
        self.factors += "'"
        return await super().GetInfo(request, context)

    def _check(self, request) -> None:
        self.prepared.append(request)
        raise MismatchError("other factors", reason="GENERATION_MISMATCH")


def factors(answer) -> str:
    return answer.metadata.provenance.factors_digest


def without_times(answer):
    for differs in ("timings", "request_id"):
        answer.metadata.ClearField(differs)
    return answer


@pytest.mark.parametrize("name", CALLS)
async def test_every_call_begins_anew_where_its_worker_took_up_another_generation(start_worker, start_front, ask, name):
    worker, new = await start_worker(), await start_worker(factors="f2")
    front, expected_front = await start_front(worker, refresh_s=60), await start_front(new)
    assert factors(await CALLS[name](front.stub, ask())) == "f1"
    worker.stub.factors = "f2"
    expected = without_times(await CALLS[name](expected_front.stub, ask()))
    assert factors(expected) == "f2"
    assert without_times(await CALLS[name](front.stub, ask())) == expected


async def test_a_scan_whose_workers_end_is_begun_anew_by_the_other_generation(start_worker, start_front, ask):
    """Broken by: an answer that goes on with what the old generation's scan had."""
    old = [await start_worker([shard]) for shard in "abc"]
    new = [await start_worker([shard], factors="f2") for shard in "abc"]
    front = await start_front(*old, *new, refresh_s=60)
    old[1].stub.may_finish.clear()
    under_way = asyncio.ensure_future(CALLS["Attribute"](front.stub, ask()))
    await asyncio.wait_for(old[1].stub.scanning.wait(), 10)
    await old[1].stop()
    answer = await under_way
    assert (factors(answer), answer.metadata.sequences_scored) == ("f2", 12)
    assert [len(worker.stub.scanned) for worker in new] == [1, 1, 1]
    assert front.front._registry.get_sample_value("whence_calls_begun_anew_total") == 1


async def test_a_stream_begins_anew_too_and_ends_with_one_answer(start_worker, start_front, ask):
    old, new = await start_worker(), await start_worker(factors="f2")
    front = await start_front(old, new, refresh_s=60)
    old.stub.may_finish.clear()
    events = []
    async for event in front.stub.StreamAttribute(messages.StreamAttributeRequest(query=ask(), options=OPTIONS)):
        if not events:
            await old.stop()
        events.append(event)
    assert [event.WhichOneof("event") for event in events].count("result") == 1
    assert factors(events[-1].result) == "f2"
    expected = await CALLS["Attribute"](front.stub, ask())
    assert events[-1].result.attribution == expected.attribution


async def test_workers_that_change_again_and_again_fail_the_request_in_the_end(
    start_worker, start_front, ask, failure_of
):
    worker = await start_worker(kind=Restless)
    front = await start_front(worker, refresh_s=60)
    error = await failure_of(CALLS["Attribute"](front.stub, ask()))
    assert isinstance(error, UnavailableError)
    assert (error.reason, error.details["worker"]) == ("WORKER_UNAVAILABLE", worker.address)
    assert "another generation" in error.message
    assert len(worker.stub.prepared) == 3


async def test_many_calls_that_begin_anew_look_at_the_workers_together(start_worker, start_front, ask):
    """Broken by: a refresh for each of them, one after another."""
    worker = await start_worker()
    front = await start_front(worker, refresh_s=60, max_running=20)
    before = front.front.pool._refreshes
    worker.stub.factors = "f2"
    answers = await asyncio.gather(*(CALLS["Attribute"](front.stub, ask(count * "a")) for count in range(1, 9)))
    assert {factors(answer) for answer in answers} == {"f2"}
    assert front.front.pool._refreshes - before < 8
