"""The client in TypeScript: asks, streams, reads error details, retries by the rules, keeps its deadline and token."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest

from authority import Authority
from whence.errors import InternalError, InvalidRequestError, OverloadedError, UnavailableError
from whence.v1 import attribution_service_pb2_grpc

PROBE = Path(__file__).with_name("probe.mjs")
QUERY = {"queryId": "q", "input": {"case": "text", "value": {"prompt": "Its capital is", "completion": " Brelary"}}}
ATTRIBUTE = {"method": "attribute", "request": {"query": QUERY, "options": {"topK": 2}}}
STREAM = {**ATTRIBUTE, "method": "streamAttribute"}
MODEL = {"method": "getModel", "request": {}}
FOREIGN_TARGETS = ("whence.example.com:50051", "10.0.0.1:1", "[2001:db8::1]:1", "dns://10.0.0.1/localhost", "unixes:1")

Probe = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def probe(built: Path, target: str) -> Probe:
    """Make calls, and return what came of each."""

    def probe(*calls: dict[str, Any], target: str = target, **options: Any) -> list[dict[str, Any]]:
        plan = json.dumps({"target": target, "options": options, "calls": calls})
        done = subprocess.run(["node", PROBE, plan, built], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return probe


@pytest.fixture
def secure(service, tmp_path: Path) -> Iterator[tuple[str, Authority]]:
    """A server with TLS that wants a certificate of the client's."""
    authority = Authority(tmp_path)
    issued = authority.issue("server")
    pair = (issued.key.read_bytes(), issued.certificate.read_bytes())
    server = grpc.server(futures.ThreadPoolExecutor(4))
    attribution_service_pb2_grpc.add_AttributionServiceServicer_to_server(service, server)
    credentials = grpc.ssl_server_credentials([pair], authority.file.read_bytes(), True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield f"127.0.0.1:{port}", authority
    server.stop(None).wait()


def overloaded(retry_after_s: float = 0.01, reason: str = "QUEUE_FULL") -> OverloadedError:
    return OverloadedError("busy", reason=reason, retry_after_s=retry_after_s)


def error_of(result: dict[str, Any]) -> dict[str, Any]:
    assert set(result) == {"error"}, result
    return result["error"]


def test_it_asks_and_reads_hits_with_their_tensors(probe, service):
    options = {"topK": 2, "direction": 3, "includeLayers": True, "includeTokens": True}
    (result,) = probe({"method": "attribute", "request": {"query": QUERY, "options": options, "requestId": "r-1"}})
    answer = result["answer"]
    first = answer["attribution"]["positive"][0]
    assert (answer["metadata"]["requestId"], first["rank"]) == ("r-1", 1)
    assert first["sequence"]["sequenceId"] == "letters/durrow-1#0"
    assert sum(first["layerInfluence"]["values"]) == pytest.approx(first["influence"])
    assert sum(first["tokenInfluence"]["values"]) == pytest.approx(first["influence"])
    offsets = first["sequence"]["tokenOffsets"]["rows"]
    assert (offsets[0], len(offsets)) == ([0, 4], first["sequence"]["tokenCount"])
    assert service.requests[0].query.text.completion == " Brelary"
    assert len(answer["attribution"]["negative"]) == 1


def test_every_call_of_the_protocol_is_answered(probe, service):
    sequence = {"selector": {"case": "text", "value": "Dear Greta."}}
    asked = [ATTRIBUTE, MODEL, {"method": "listModels", "request": {}}]
    asked.append({"method": "batchAttribute", "request": {"queries": [QUERY, QUERY]}})
    asked.append({"method": "score", "request": {"queries": [QUERY], "sequences": [sequence]}})
    asked.append({"method": "explain", "request": {"query": QUERY, "sequence": sequence}})
    asked.append({"method": "textOverlap", "request": {"queries": [QUERY]}})
    results = probe(*asked)
    assert all("answer" in result for result in results), results
    assert service.calls == ["Attribute", "GetModel", "ListModels", "BatchAttribute", "Score", "Explain", "TextOverlap"]
    assert len(results[5]["answer"]["parts"]["rows"]) == 5
    assert results[6]["answer"]["overlaps"][0]["nearest"]["sequenceId"] == "letters/durrow-1#0"
    unserved = probe({"method": "selfInfluence", "request": {}}, {"method": "groupInfluence", "request": {}})
    assert {error_of(result)["reason"] for result in unserved} == {"GRPC_UNIMPLEMENTED"}  # by this server of the tests


def test_it_streams_progress_and_then_the_result(probe):
    (result,) = probe(STREAM)
    events = result["events"]
    assert [event["case"] for event in events] == ["partial", "partial", "result"]
    assert [event["value"]["sequencesScored"] for event in events[:2]] == [1, 2]
    assert len(events[2]["value"]["attribution"]["positive"]) == 2


def test_leaving_a_stream_cancels_the_call(probe, service):
    service.hold = True
    (result,) = probe({**STREAM, "stopAfter": 1})
    assert len(result["events"]) == 1
    assert service.over.wait(10)


def test_an_error_has_its_reason_field_and_details(probe, service):
    wrong = InvalidRequestError("empty", reason="EMPTY_COMPLETION", field="query.text.completion", tokens=0)
    service.failures = [wrong, wrong]
    for result in probe(ATTRIBUTE, STREAM):
        error = error_of(result)
        assert (error["code"], error["reason"], error["field"]) == (3, "EMPTY_COMPLETION", "query.text.completion")
        assert (error["message"], error["details"]) == ("empty", {"tokens": "0"})
    assert service.calls == ["Attribute", "StreamAttribute"]


def test_a_status_without_our_details_has_the_reason_of_its_code(probe, service):
    service.failures = [grpc.StatusCode.PERMISSION_DENIED]
    error = error_of(probe(ATTRIBUTE)[0])
    assert (error["code"], error["reason"], error["message"]) == (7, "GRPC_PERMISSION_DENIED", "as asked")


@pytest.mark.parametrize("call", [ATTRIBUTE, STREAM], ids=lambda call: call["method"])
def test_a_call_that_was_refused_for_load_is_made_again(probe, service, call):
    service.failures = [overloaded(), overloaded(reason="QUOTA_EXCEEDED")]
    (result,) = probe(call)
    assert "error" not in result
    assert len(service.calls) == 3


@pytest.mark.parametrize(
    ("failure", "options"),
    [
        (overloaded(3600), {}),  # beyond the deadline
        (overloaded(60, "QUOTA_EXCEEDED"), {}),  # within it, but too long for a quota
        (overloaded(), {"retryOverload": False}),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, {}),  # gRPC's own limits
        (InternalError("a bug", reason="INTERNAL"), {}),
        (UnavailableError("gone", reason="WORKER_UNAVAILABLE"), {"retry": {"maxAttempts": 1}}),
    ],
)
def test_a_call_is_not_made_again_where_that_is_no_use(probe, service, failure, options):
    service.failures = [failure]
    error = error_of(probe(ATTRIBUTE, **options)[0])
    assert len(service.calls) == 1
    if isinstance(failure, OverloadedError):
        assert error["retryAfterS"] == failure.retry_after_s


def test_grpc_itself_retries_unary_calls_to_an_unavailable_server_and_no_stream(probe, service):
    gone = UnavailableError("gone", reason="WORKER_UNAVAILABLE")
    service.failures = [gone, gone]
    assert "answer" in probe(ATTRIBUTE, retry={"initialBackoffS": 0.01})[0]
    assert len(service.calls) == 3
    service.failures = [gone]
    assert error_of(probe(STREAM)[0])["reason"] == "WORKER_UNAVAILABLE"
    assert len(service.calls) == 4


@pytest.mark.parametrize("call", [ATTRIBUTE, STREAM], ids=lambda call: call["method"])
def test_a_call_ends_with_its_deadline(probe, service, call):
    service.hold = True
    (result,) = probe({**call, "call": {"timeoutS": 0.3}})
    assert (error_of(result)["code"], error_of(result)["reason"]) == (4, "GRPC_DEADLINE_EXCEEDED")
    assert service.over.wait(10)


def test_a_caller_may_cancel(probe, service):
    service.hold = True
    (result,) = probe({**ATTRIBUTE, "abortAfterMs": 300})
    assert error_of(result)["reason"] == "GRPC_CANCELLED"
    assert service.over.wait(10)


def test_a_deadline_has_to_lie_ahead(probe, service):
    assert error_of(probe(MODEL, timeoutS=0)[0])["reason"] == "INVALID_TIMEOUT"
    assert not service.calls


def test_a_request_that_is_too_large_is_told_from_load(probe, service):
    long = {"queryId": "", "input": {"case": "text", "value": {"prompt": "x" * 100_000, "completion": " y"}}}
    many = {"method": "batchAttribute", "request": {"queries": [long]}}
    assert "answer" in probe(many)[0]
    service.padding = 65 << 20
    assert error_of(probe(ATTRIBUTE)[0])["reason"] == "TOO_LARGE_MESSAGE"
    assert len(service.calls) == 2


def test_metadata_and_the_token_go_with_every_call(probe, service):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    probe({**MODEL, "call": {"metadata": {"traceparent": trace}}}, STREAM, token=" wk_secret\n")
    assert [seen["authorization"] for seen in service.metadata] == ["Bearer wk_secret"] * 2
    assert service.metadata[0]["traceparent"] == trace


@pytest.mark.parametrize("target", FOREIGN_TARGETS)
def test_a_token_is_not_sent_to_another_machine_without_tls(probe, target):
    error = error_of(probe(MODEL, target=target, token="wk_secret")[0])
    assert (error["reason"], error["field"]) == ("UNEXPECTED_TOKEN", "token")
    assert "wk_secret" not in json.dumps(error)


def test_a_token_may_be_sent_within_this_machine_over_tls_or_where_that_is_allowed(probe, tmp_path):
    once = {**MODEL, "call": {"timeoutS": 0.2}}
    for target in ("localhost:1", "[::1]:1", "dns:///localhost:1", f"unix:{tmp_path}/none", "127.9.9.9:1"):
        assert error_of(probe(once, target=target, token="t")[0])["reason"].startswith("GRPC_")
    for options in ({"tls": {}}, {"allowInsecureToken": True}):
        error = error_of(probe(once, target="whence.invalid:1", token="t", **options)[0])
        assert error["reason"].startswith("GRPC_")


def test_a_token_that_cannot_be_sent_is_not_repeated(probe, service):
    error = error_of(probe(MODEL, token="two words")[0])
    assert (error["code"], error["reason"]) == (16, "INVALID_CREDENTIALS")
    assert "words" not in error["message"].replace("without spaces", "")
    assert not service.calls


def test_it_asks_over_tls_and_shows_its_certificate(probe, secure, service, tmp_path):
    address, authority = secure
    own = authority.issue("client")
    files = {"caFile": authority.file, "certificateFile": own.certificate, "keyFile": own.key}
    tls = {name: str(path) for name, path in files.items()}
    assert "answer" in probe(MODEL, target=address, tls=tls, token="t")[0]
    assert service.metadata[0]["authorization"] == "Bearer t"
    stranger = {**tls, "caFile": str(Authority(tmp_path, "stranger").file)}
    once = {**MODEL, "call": {"timeoutS": 5}}
    assert error_of(probe(once, target=address, tls=stranger, retry={"maxAttempts": 1})[0])["code"] == 14
    missing = error_of(probe(once, target=address, tls={"caFile": "/nowhere"})[0])
    assert missing["reason"] == "UNREADABLE_CERTIFICATE"
    assert len(service.calls) == 1
