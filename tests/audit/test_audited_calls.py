"""Every call leaves one line, whatever becomes of it, and the line has no secret and no text."""

from __future__ import annotations

import asyncio
import hashlib

import grpc
import pytest

from access.calls import OURS, SERVICE, call
from audit.conftest import lines_of
from whence.v1 import attribution_pb2
from whence.v1 import attribution_service_pb2 as messages
from whence_service.rpc.canonical import canonical_bytes
from whence_service.rpc.identity import Scope


@pytest.fixture
async def audited(start_front, worker, audit_file, keys_file, eventually):
    """A front end that asks for keys, and the lines of its audit log once there are as many as given."""
    front = await start_front(worker, audit_log=str(audit_file), keys_file=keys_file, max_queries=2)

    async def lines(number: int) -> list[dict]:
        await eventually(lambda: len(lines_of(audit_file)) >= number)
        return lines_of(audit_file)

    return front, lines


def bearer(key) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key.text}"),)


async def test_a_line_says_who_asked_what_of_which_model_and_what_came_of_it(audited, add_key, ask):
    front, lines = audited
    query, key = ask("abc", query_id="q"), add_key(subject="ada", tenant="acme", scopes=tuple(Scope))
    only = attribution_pb2.Filter(sources=["stub"])
    request = messages.AttributeRequest(query=query, options={"top_k": 2, "filter": only}, request_id="r1")
    answer = await front.stub.Attribute(request, metadata=bearer(key))
    (line,) = await lines(1)
    asked = {name: line[name] for name in ("event", "method", "request_id", "subject", "tenant", "queries", "filters")}
    assert asked == {
        "event": "audit", "method": "whence.v1.AttributionService/Attribute", "request_id": "r1", "subject": "ada",
        "tenant": "acme", "queries": [f"sha256:{hashlib.sha256(canonical_bytes(query)).hexdigest()}"],
        "filters": ["sources"],
    }  # fmt: skip
    origin = answer.metadata.provenance
    assert [line[name] for name in ("model", "model_digest", "factors_digest", "corpus_digest")] == [
        origin.model, origin.model_digest, origin.factors_digest, origin.corpus_digest,
    ]  # fmt: skip
    assert line["returned"] == [hit.sequence.sequence_id for hit in answer.attribution.positive]
    assert (line["decision"], line["code"], line["reason"]) == ("allowed", "OK", "")
    assert line["sequences_scored"] == answer.metadata.sequences_scored > 0
    assert line["duration_s"] > 0
    assert line["peer"].startswith("ipv4:127.0.0.1:")
    assert line["time"].endswith("+00:00")


@pytest.mark.parametrize("method", OURS)
async def test_every_method_is_audited(audited, add_key, method):
    front, lines = audited
    await call(front.channel, f"{SERVICE}{method}", add_key(scopes=tuple(Scope)).text)
    (line,) = await lines(1)
    assert line["method"].endswith(f"/{method}")


@pytest.mark.parametrize(
    ("scopes", "code", "reason"),
    [
        (None, "UNAUTHENTICATED", "MISSING_CREDENTIALS"),
        ((), "PERMISSION_DENIED", "MISSING_SCOPE"),
    ],
)
async def test_refused_callers_are_audited(audited, add_key, scopes, code, reason):
    front, lines = audited
    tokens = () if scopes is None else (add_key(scopes=scopes).text,)
    await call(front.channel, f"{SERVICE}Attribute", *tokens)
    (line,) = await lines(1)
    assert (line["decision"], line["code"], line["reason"]) == ("refused", code, reason)
    assert (line["queries"], line["returned"]) == ([], [])


async def test_invalid_requests_and_failures_are_audited_with_what_was_asked(audited, add_key, ask, worker):
    front, lines = audited
    metadata = bearer(add_key(scopes=tuple(Scope)))
    worker.stub.failure = ValueError("a bug")
    for queries in ([ask("a"), ask("b"), ask("c")], [ask("a")]):
        with pytest.raises(grpc.aio.AioRpcError):
            await front.stub.BatchAttribute(messages.BatchAttributeRequest(queries=queries), metadata=metadata)
    refused, failed = await lines(2)
    assert (refused["decision"], refused["reason"], len(refused["queries"])) == ("refused", "TOO_MANY_QUERIES", 3)
    assert (failed["decision"], failed["code"], len(failed["queries"])) == ("failed", "INTERNAL", 1)
    assert failed["model_digest"]


async def test_a_cancelled_stream_is_audited_with_what_it_cost(audited, add_key, ask, worker):
    front, lines = audited
    worker.stub.may_finish.clear()
    request = messages.StreamAttributeRequest(query=ask())
    stream = front.stub.StreamAttribute(request, metadata=bearer(add_key(scopes=tuple(Scope))))
    partial = await stream.read()
    stream.cancel()
    (line,) = await lines(1)
    assert (line["decision"], line["code"]) == ("failed", "CANCELLED")
    assert line["sequences_scored"] == partial.partial.sequences_scored


async def test_a_full_queue_is_audited(start_front, worker, audit_file, ask, eventually):
    front = await start_front(worker, audit_log=str(audit_file), max_running=1, max_waiting=0)
    worker.stub.may_finish.clear()
    running = asyncio.ensure_future(front.stub.Attribute(messages.AttributeRequest(query=ask())))
    await asyncio.wait_for(worker.stub.scanning.wait(), 10)
    with pytest.raises(grpc.aio.AioRpcError):
        await front.stub.Attribute(messages.AttributeRequest(query=ask()))
    worker.stub.may_finish.set()
    await running
    await eventually(lambda: len(lines_of(audit_file)) == 2)
    assert [(line["decision"], line["reason"]) for line in lines_of(audit_file)] == [
        ("refused", "QUEUE_FULL"), ("allowed", ""),
    ]  # fmt: skip


async def test_a_call_over_its_quota_is_audited(start_front, worker, audit_file, tmp_path, ask, eventually):
    quotas = tmp_path / "quotas.toml"
    quotas.write_text('[default]\ncalls = "1/hour"\n')
    front = await start_front(worker, audit_log=str(audit_file), quotas_file=quotas)
    await front.stub.Attribute(messages.AttributeRequest(query=ask()))
    with pytest.raises(grpc.aio.AioRpcError):
        await front.stub.Attribute(messages.AttributeRequest(query=ask()))
    await eventually(lambda: len(lines_of(audit_file)) == 2)
    line = lines_of(audit_file)[1]
    assert (line["decision"], line["code"], line["reason"]) == ("refused", "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")


@pytest.mark.parametrize("texts", [False, True])
async def test_texts_are_in_the_log_only_where_they_are_wanted(start_front, worker, audit_file, ask, eventually, texts):
    front = await start_front(worker, audit_log=str(audit_file), audit_texts=texts)
    await front.stub.Attribute(messages.AttributeRequest(query=ask("a private text")))
    await eventually(lambda: audit_file.read_text())
    assert ("a private text" in audit_file.read_text()) == texts
    (line,) = lines_of(audit_file)
    assert ("request" in line) == texts


async def test_the_callers_trace_is_named(start_front, worker, audit_file, ask, eventually):
    front = await start_front(worker, audit_log=str(audit_file))
    metadata = (("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01"),)
    await front.stub.Attribute(messages.AttributeRequest(query=ask()), metadata=metadata)
    await eventually(lambda: audit_file.read_text())
    assert lines_of(audit_file)[0]["trace_id"] == "ab" * 16


async def test_health_checks_are_not_audited(audited, add_key):
    front, lines = audited
    assert await front.is_serving()
    await call(front.channel, f"{SERVICE}ListModels", add_key().text)
    assert [line["method"].rpartition("/")[2] for line in await lines(1)] == ["ListModels"]
