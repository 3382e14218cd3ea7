"""One valid request of every method that a front end serves, as bytes, and a call of any of them."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from whence import status
from whence.v1 import attribution_service_pb2 as messages
from whence.v1 import query_pb2

QUERY = query_pb2.Query(text=query_pb2.PromptCompletion(prompt="p", completion="abc"))
KNOWN = messages.SequenceSelector(sequence_id="doc1#0")
# By method: a request, in the message that it takes.
OURS = {
    "Attribute": messages.AttributeRequest(query=QUERY),
    "StreamAttribute": messages.StreamAttributeRequest(query=QUERY),
    "BatchAttribute": messages.BatchAttributeRequest(queries=[QUERY]),
    "Score": messages.ScoreRequest(queries=[QUERY], sequences=[KNOWN]),
    "Explain": messages.ExplainRequest(query=QUERY, sequence=KNOWN),
    "SelfInfluence": messages.SelfInfluenceRequest(sequences=[KNOWN]),
    "GroupInfluence": messages.GroupInfluenceRequest(query=QUERY),
    "TextOverlap": messages.TextOverlapRequest(queries=[QUERY]),
    "ListModels": messages.ListModelsRequest(),
    "GetModel": messages.GetModelRequest(),
}
SERVICE = "/whence.v1.AttributionService/"
HEALTH = {
    "/grpc.health.v1.Health/Check": health_pb2.HealthCheckRequest(service="liveness"),
    "/grpc.health.v1.Health/Watch": health_pb2.HealthCheckRequest(service="liveness"),
}
REFLECTION = {
    f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo": reflection_pb2.ServerReflectionRequest(
        list_services=""
    )
    for version in ("v1", "v1alpha")
}
REQUESTS = {**{f"{SERVICE}{method}": request for method, request in OURS.items()}, **HEALTH, **REFLECTION}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a call: the name of its code, our reason, all text of a failure, and the first answer."""

    code: str
    reason: str = ""
    text: str = ""
    answer: bytes = b""


async def call(
    channel: grpc.aio.Channel, path: str, *tokens: str, data: bytes | None = None, **headers: str
) -> Outcome:
    """Make a call with ``tokens`` as its bearer tokens, and wait for its first answer or its failure."""
    metadata = [*(("authorization", f"Bearer {token}") for token in tokens), *headers.items()]
    request = REQUESTS[path].SerializeToString() if data is None else data
    started = channel.unary_stream(path)(request, metadata=metadata, timeout=20)
    try:
        async for answer in started:
            started.cancel()
            return Outcome(code="OK", answer=answer)
    except grpc.aio.AioRpcError as error:
        typed = status.from_call(error)
        everything = f"{error.details()} {typed.message} {typed.details} {dict(error.trailing_metadata())}"
        return Outcome(code=error.code().name, reason=typed.reason, text=everything)
    return Outcome(code="OK")
