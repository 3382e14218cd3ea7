"""Quotas at a front end, over sockets: the stub workers' corpus has 12 sequences."""

from __future__ import annotations

import pytest

from access.conftest import add_key, keys_file
from whence import AsyncClient, OverloadedError, Query
from whence.v1 import attribution_service_pb2 as messages

__all__ = ["add_key", "keys_file"]


@pytest.fixture
def key(add_key):
    """Make the metadata of a key of a tenant."""
    return lambda tenant: [("authorization", f"Bearer {add_key(tenant=tenant).text}")]


@pytest.fixture
async def metered(start_front, worker, keys_file, tmp_path):
    """A front end at which tenants have 30 sequences a year, and one of them ten."""
    file = tmp_path / "quotas.toml"
    file.write_text('[default]\nsequences = "30/year"\n[tenants.small]\nsequences = "10/year"\n')
    return await start_front(worker, keys_file=keys_file, quotas_file=file)


async def used(front) -> dict[tuple[str, str], float]:
    family = next(one for one in front.front._registry.collect() if one.name == "whence_quota_used")
    return {tuple(one.labels.values()): one.value for one in family.samples if one.name.endswith("_total")}


async def test_a_scan_is_charged_before_it_runs(metered, worker, key, ask, failure_of):
    scan, acme = messages.AttributeRequest(query=ask()), key("acme")
    for _ in range(2):
        await metered.stub.Attribute(scan, metadata=acme)
    error = await failure_of(metered.stub.Attribute(scan, metadata=acme))
    assert (error.reason, error.details["used"], error.details["asked"]) == ("QUOTA_EXCEEDED", "24", "12")
    assert error.retry_after_s > 0
    assert len(worker.stub.scanned) == 2
    await metered.stub.Attribute(scan, metadata=key("another"))
    assert await used(metered) == {("other", "calls"): 3, ("other", "sequences"): 36}


async def test_a_scan_of_more_than_a_quota_ever_has_is_refused_for_good(metered, key, ask, failure_of):
    error = await failure_of(metered.stub.Attribute(messages.AttributeRequest(query=ask()), metadata=key("small")))
    assert (type(error).__name__, error.reason) == ("InvalidRequestError", "TOO_LARGE_COST")


async def test_sequences_that_are_named_cost_their_number(metered, key, ask, failure_of):
    named = [messages.SequenceSelector(sequence_id=f"doc{number}#0") for number in range(6)]
    score, small = messages.ScoreRequest(queries=[ask()], sequences=named), key("small")
    await metered.stub.Score(score, metadata=small)
    assert (await failure_of(metered.stub.Score(score, metadata=small))).details["used"] == "6"
    assert await used(metered) == {("small", "calls"): 1, ("small", "sequences"): 6}


async def test_a_stream_that_is_left_pays_for_what_it_has_seen(metered, worker, key, ask, eventually):
    worker.stub.may_finish.clear()
    call = metered.stub.StreamAttribute(messages.StreamAttributeRequest(query=ask()), metadata=key("acme"))
    partial = (await call.read()).partial
    call.cancel()
    await worker.stub.cancelled.wait()
    await eventually(lambda: "running=0" in repr(metered.front.admission))
    assert await used(metered) == {("other", "calls"): 1, ("other", "sequences"): partial.sequences_scored}


async def test_the_client_does_not_wait_a_year(metered, key):
    async with AsyncClient(metered.address, metadata=key("acme"), timeout_s=10**9) as client:
        for _ in range(2):
            await client.attribute(Query.text("p", "abc"))
        with pytest.raises(OverloadedError) as caught:
            await client.attribute(Query.text("p", "abc"))
    assert caught.value.reason == "QUOTA_EXCEEDED"
