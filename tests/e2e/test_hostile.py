"""Requests that mean harm, or nothing at all: each is answered, or refused with a typed error that tells no secret."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message

from e2e.conftest import Service
from whence import status, tensors
from whence.v1 import attribution_pb2, query_pb2, tensor_pb2
from whence.v1 import attribution_service_pb2 as public
from whence.worker.v1 import worker_service_pb2 as private

# What no caller is to see: tracebacks, and paths of the server.
INTERNAL = re.compile(rf"Traceback|\.py\b|site-packages|{re.escape(str(Path(__file__).parents[2]))}|/tmp/|\bFile \"")

FRONT, WORKER = "/whence.v1.AttributionService/", "/whence.worker.v1.WorkerService/"
# What a client may be told.
CODES = {
    grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.CANCELLED,
}  # fmt: skip
MOST_INT, MOST_LONG = 2**32 - 1, 2**64 - 1
ODD = [
    "\x00",
    "a\x00b",
    "\u202e\u2066",
    "\x1b[2J\x07",
    "\ufffe\uffff",
    "😀" * 99,
    " " * 99,
    "\u0301" * 99,
    "\r\n\t\v",
    "{{ x }}",
]
DAMPINGS = [0.0, -0.0, -1.0, math.nan, math.inf, -math.inf, 5e-324, 1e-320, 1e-38, 1e-12, 1e12, 1e38, 1e39, 1e308]


def text(prompt: str = "the keeper ", completion: str = "lit", **more: object) -> query_pb2.Query:
    return query_pb2.Query(text=query_pb2.PromptCompletion(prompt=prompt, completion=completion), **more)


def ids(*tokens: int, start: int = 1) -> query_pb2.Query:
    return query_pb2.Query(tokens=query_pb2.TokenIds(ids=tokens, completion_start=start))


def attribute(query: query_pb2.Query | None = None, **options: object) -> public.AttributeRequest:
    asked = attribution_pb2.AttributionOptions(**options)
    return public.AttributeRequest(query=text() if query is None else query, options=asked)


def filtered(**wanted: object) -> public.AttributeRequest:
    return attribute(filter=attribution_pb2.Filter(**wanted))


def public_requests() -> Iterator[tuple[str, Message]]:
    """Every one of them to the front end: its method, and it."""
    for kind, name in (
        (public.AttributeRequest, "Attribute"), (public.BatchAttributeRequest, "BatchAttribute"),
        (public.ScoreRequest, "Score"), (public.ExplainRequest, "Explain"), (public.GetModelRequest, "GetModel"),
        (public.SelfInfluenceRequest, "SelfInfluence"), (public.GroupInfluenceRequest, "GroupInfluence"),
        (public.TextOverlapRequest, "TextOverlap"),
    ):  # fmt: skip
        yield name, kind()
    for odd in ODD:
        yield "Attribute", attribute(text(odd, odd))
        yield "Attribute", attribute(text("", odd, query_id=odd))
        yield "Attribute", attribute(layers=[odd])
        yield "Attribute", filtered(sources=[odd])
        yield "Attribute", filtered(metadata={odd: odd})
        yield "Attribute", filtered(first_document_id=odd, last_document_id=odd)
        yield "GetModel", public.GetModelRequest(name=odd)
        yield "ListModels", public.ListModelsRequest(page_token=odd)
        yield "GroupInfluence", public.GroupInfluenceRequest(query=text(), group_by=odd)
        yield "GroupInfluence", public.GroupInfluenceRequest(query=text(), group_by=f"metadata.{odd}")
        yield "TextOverlap", public.TextOverlapRequest(queries=[text(odd, odd)])
        yield "Explain", public.ExplainRequest(query=text(), sequence=public.SequenceSelector(sequence_id=odd))
        yield "Explain", public.ExplainRequest(query=text(), sequence=public.SequenceSelector(text=odd))
        said = [query_pb2.ChatMessage(role=role, content=odd) for role in (odd, "assistant")]
        yield "Attribute", attribute(query_pb2.Query(chat=query_pb2.Chat(messages=said)))
    for damping_factor in DAMPINGS:
        for search in attribution_pb2.Search.values():
            yield "Attribute", attribute(damping_factor=damping_factor, search=search, include_tokens=True)
        yield (
            "Explain",
            public.ExplainRequest(
                query=text(), sequence=public.SequenceSelector(text="the owl"), damping_factor=damping_factor
            ),
        )
        yield "GroupInfluence", public.GroupInfluenceRequest(query=text(), damping_factor=damping_factor, samples=30)
        yield (
            "SelfInfluence",
            public.SelfInfluenceRequest(
                sequences=[public.SequenceSelector(text="the owl")], damping_factor=damping_factor
            ),
        )
    for number in (1, 2**31 - 1, 2**31, MOST_INT):
        for name in ("top_k", "candidates", "query_rank", "noise_sample"):
            yield "Attribute", attribute(**{name: number})
        yield "SelfInfluence", public.SelfInfluenceRequest(top_k=number)
        yield "TextOverlap", public.TextOverlapRequest(queries=[text()], ngram=number)
        yield "GroupInfluence", public.GroupInfluenceRequest(query=text(), samples=number, seed=MOST_LONG)
        yield "Attribute", attribute(ids(number, number))
        yield "Attribute", attribute(ids(1, 2, start=number))
    yield "Attribute", attribute(ids(*[1] * 100_000))
    yield "Attribute", attribute(layers=["(a+)+$", "*" * 99, "[" * 99])
    yield "Attribute", filtered(metadata={"a.b" * 99: "1e999", "year": "nan"})
    yield "Attribute", filtered(sources=[str(number) for number in range(100_000)])


def tensor(*values: float) -> tensor_pb2.Tensor:
    return tensors.pack(values, [1, len(values)], tensor_pb2.DATA_TYPE_FLOAT32)


def private_requests(held: private.GetInfoResponse) -> Iterator[tuple[str, Message]]:
    """Those to the worker itself, which any front end may send."""
    model, shards = held.model, [shard.shard for shard in held.shards]
    digests = {name: getattr(model, name) for name in ("model_digest", "factors_digest", "corpus_digest")}
    of = {"generation": private.Generation(**digests, index_digest=model.index.digest)}
    width = model.index.values
    for value in (math.nan, math.inf, 3e38):
        sketch = tensor(*[value] * width)
        yield "Search", private.SearchRequest(sketches=sketch, shards=shards, candidates=5, **of)
        yield "EstimateGroups", private.EstimateGroupsRequest(sketch=sketch, shards=shards, samples=5, **of)
        yield "RefineSketch", private.RefineSketchRequest(sketch=sketch, rows=[b"x"], raw_influence=sketch, **of)
    for weights in ([math.nan], [math.inf], [1e308], [1.0, 2.0], []):
        weighed = private.TokenWeights(tokens=[1], weights=weights)
        yield "MatchTokens", private.MatchTokensRequest(queries=[weighed], shards=shards, candidates=5, **of)
    for token in (2**31, MOST_INT):
        weighed = private.TokenWeights(tokens=[token], weights=[1.0])
        yield "MatchTokens", private.MatchTokensRequest(queries=[weighed], shards=shards, candidates=5, **of)
    for count in (1, 2**31, MOST_INT):
        yield "OverlapTokens", private.OverlapTokensRequest(queries=[text()], shards=shards, ngram=count % 2**32, **of)
        yield "DrawSequences", private.DrawSequencesRequest(shards=shards, count=count, seed=MOST_LONG, **of)
    for position in (10**6, 2**63, MOST_LONG):
        yield "ReadIndexRows", private.ReadIndexRowsRequest(positions=[position], **of)
        yield "Rescore", private.RescoreRequest(queries=[text()], positions=[position], **of)
        where = [private.SequenceReference(position=position)]
        yield "ScoreSequences", private.ScoreSequencesRequest(queries=[text()], sequences=where, **of)
    for damping_factor in DAMPINGS:
        how = private.Preconditioning(damping_factor=damping_factor, rank=MOST_INT, layers=[0] * 9)
        yield "Scan", private.ScanRequest(queries=[text()], shards=shards, top_k=3, preconditioning=how, **of)
        yield "PrepareQueries", private.PrepareQueriesRequest(queries=[text()], sketch=True, preconditioning=how, **of)
    yield "Scan", private.ScanRequest(queries=[text()], shards=shards, top_k=MOST_INT, direction=99, **of)
    yield "Scan", private.ScanRequest(queries=[text()], shards=[*shards, "\x00"], top_k=1, **of)
    yield "ScoreSequences", private.ScoreSequencesRequest(detail=99, **of)
    yield "EstimateGroups", private.EstimateGroupsRequest(sketch=tensor_pb2.Tensor(shape=[-1, 2**62]), **of)


def test_a_front_end_answers_or_refuses_with_a_typed_error(indexed: Service):
    with grpc.insecure_channel(indexed.front.address) as channel:
        answered = [
            assert_spoken(channel.unary_unary(FRONT + method), request.SerializeToString(), request)
            for method, request in public_requests()
        ]
    assert 0 < sum(answered) < len(answered)
    assert_no_traceback(indexed)


def test_a_worker_answers_or_refuses_with_a_typed_error(indexed: Service):
    with grpc.insecure_channel(indexed.worker.address) as channel:
        info = channel.unary_unary(f"{WORKER}GetInfo")(b"")
        for method, request in private_requests(private.GetInfoResponse.FromString(info)):
            streamed = method in ("Scan", "Rescore")
            call = channel.unary_stream(WORKER + method) if streamed else channel.unary_unary(WORKER + method)
            assert_spoken(lambda data, call=call, streamed=streamed: b"".join(call(data)) if streamed else call(data),
                          request.SerializeToString(), request)  # fmt: skip
    assert_no_traceback(indexed)


def test_deadlines_that_have_passed_and_calls_that_are_given_up(indexed: Service):
    request = attribute(search=attribution_pb2.SEARCH_FULL_SCAN).SerializeToString()
    with grpc.insecure_channel(indexed.front.address) as channel:
        call = channel.unary_unary(f"{FRONT}Attribute")
        for timeout in (-1.0, 0.0, 1e-9, 1e-3):
            with pytest.raises(grpc.RpcError) as caught:
                call(request, timeout=timeout)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        for _ in range(5):
            call.future(request).cancel()
        assert call(request)
    assert_no_traceback(indexed)


def assert_spoken(call: Callable[[bytes], bytes], data: bytes, request: Message) -> bool:
    """Return whether a call was answered, or fail where it was neither that nor refused with a typed error."""
    try:
        answer = call(data)
    except grpc.RpcError as failure:
        error = status.from_call(failure)
        assert error.code in CODES, (error.code, error.message, request)
        assert not error.reason.startswith("GRPC_"), (error.message, request)
        assert not INTERNAL.search(error.message), error.message
        return False
    for value in numbers(answer, request):
        assert math.isfinite(value), request
    return True


def numbers(answer: bytes, request: Message) -> Iterator[float]:
    """The influences of an answer of the front end to one query."""
    if isinstance(request, public.AttributeRequest):
        found = public.AttributeResponse.FromString(answer).attribution
        for hit in (*found.positive, *found.negative):
            yield hit.influence
            yield from tensors.unpack(hit.token_influence)
    if isinstance(request, public.ExplainRequest):
        yield public.ExplainResponse.FromString(answer).influence
    if isinstance(request, public.SelfInfluenceRequest):
        yield from (hit.influence for hit in public.SelfInfluenceResponse.FromString(answer).sequences)
    if isinstance(request, public.GroupInfluenceRequest):
        for group in public.GroupInfluenceResponse.FromString(answer).groups:
            yield from (group.influence, group.standard_error)


def assert_no_traceback(service: Service) -> None:
    for process in (service.front, service.worker):
        log = process.log.read_text()
        assert "Traceback" not in log, log[log.index("Traceback") :][:3000]
        assert "uncaught exception" not in log, log[log.index("uncaught exception") :][:3000]
