"""What is too much is refused by real processes for next to no memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from e2e.conftest import Service
from e2e.harness import Process
from whence import status
from whence.errors import WhenceError
from whence.v1 import attribution_pb2, query_pb2
from whence.v1 import attribution_service_pb2 as public
from whence.worker.v1 import worker_service_pb2 as private

MEBIBYTE = 1 << 20
FRONT, WORKER = "/whence.v1.AttributionService/", "/whence.worker.v1.WorkerService/"


def text(size: int) -> query_pb2.Query:
    return query_pb2.Query(text=query_pb2.PromptCompletion(prompt="x" * size, completion="y"))


def messages(count: int, role: str = "user", content: str = "x") -> query_pb2.Query:
    said = [query_pb2.ChatMessage(role=role, content=content)] * count
    return query_pb2.Query(chat=query_pb2.Chat(messages=said))


def filtered(count: int) -> attribution_pb2.AttributionOptions:
    metadata = {str(number): "x" for number in range(count)}
    return attribution_pb2.AttributionOptions(filter=attribution_pb2.Filter(metadata=metadata))


PUBLIC = {
    "a prompt of 60 MB": ("Attribute", public.AttributeRequest(query=text(60 * MEBIBYTE))),
    "a prompt of 15 MB": ("Attribute", public.AttributeRequest(query=text(15 * MEBIBYTE))),
    "a prompt of 10 MB": ("Attribute", public.AttributeRequest(query=text(10 * MEBIBYTE))),
    "a prompt of 1 MB": ("Attribute", public.AttributeRequest(query=text(MEBIBYTE))),
    "200,000 messages": ("Attribute", public.AttributeRequest(query=messages(200_000))),
    "7 million empty messages": ("Attribute", public.AttributeRequest(query=messages(7_000_000, "", ""))),
    "a million queries": ("BatchAttribute", public.BatchAttributeRequest(queries=[query_pb2.Query()] * 1_000_000)),
    "10 texts of 1 MB": ("BatchAttribute", public.BatchAttributeRequest(queries=[text(MEBIBYTE)] * 10)),
    "200,000 filters": ("Attribute", public.AttributeRequest(query=text(1), options=filtered(200_000))),
    "a sequence of 10 MB": (
        "Explain",
        public.ExplainRequest(query=text(1), sequence=public.SequenceSelector(text="x" * 10 * MEBIBYTE)),
    ),
    "a model's name of 10 MB": ("GetModel", public.GetModelRequest(name="x" * 10 * MEBIBYTE)),
}
PRIVATE = {
    "a prompt of 60 MB": ("PrepareQueries", private.PrepareQueriesRequest(queries=[text(60 * MEBIBYTE)])),
    "a prompt of 15 MB": ("Scan", private.ScanRequest(queries=[text(15 * MEBIBYTE)])),
    "a prompt of 10 MB": ("PrepareQueries", private.PrepareQueriesRequest(queries=[text(10 * MEBIBYTE)])),
    "200,000 messages": ("CountTokens", private.CountTokensRequest(queries=[messages(200_000)])),
    "7 million empty messages": ("Rescore", private.RescoreRequest(queries=[messages(7_000_000, "", "")])),
    "a shard's name of 10 MB": ("Search", private.SearchRequest(shards=["x" * 10 * MEBIBYTE])),
}


@pytest.mark.parametrize("case", PUBLIC)
def test_a_front_end_refuses_for_little_memory(whole: Service, case: str):
    method, request = PUBLIC[case]
    with at_most(whole.front, 50), channel(whole.front.address) as calls:
        error = refusal(calls, FRONT + method, request.SerializeToString())
    assert_spoken(error)


@pytest.mark.parametrize("case", PRIVATE)
def test_a_worker_refuses_for_little_memory(whole: Service, case: str):
    method, request = PRIVATE[case]
    with at_most(whole.worker, 50), channel(whole.worker.address) as calls:
        error = refusal(calls, WORKER + method, request.SerializeToString())
    assert_spoken(error)


def assert_spoken(error: WhenceError) -> None:
    """What is refused by its size says so, in the server's words where gRPC let it have its say."""
    assert error.reason in ("TOO_LARGE_TEXT", "TOO_LARGE_FILTER", "TOO_LARGE_NAME", "TOO_MANY_FIELDS") or (
        error.reason == "GRPC_RESOURCE_EXHAUSTED" and "larger than max" in error.message
    )


def refusal(calls: grpc.Channel, path: str, data: bytes) -> WhenceError:
    with pytest.raises(grpc.RpcError) as caught:
        calls.unary_unary(path)(data, timeout=30)
    return status.from_call(caught.value)


def channel(address: str) -> grpc.Channel:
    return grpc.insecure_channel(address, options=[("grpc.max_send_message_length", -1)])


@contextmanager
def at_most(process: Process, mebibytes: int) -> Iterator[None]:
    """Fail where the process's memory grew by more in the ``with``, at its peak."""
    folder = Path(f"/proc/{process.process.pid}")
    (folder / "clear_refs").write_text("5")  # begins to measure the peak anew
    before = resident(folder, "VmRSS")
    yield
    grown = resident(folder, "VmHWM") - before
    assert grown < mebibytes * MEBIBYTE, f"{grown / MEBIBYTE:.0f} MiB"


def resident(folder: Path, what: str) -> int:
    [line] = [line for line in (folder / "status").read_text().splitlines() if line.startswith(what)]
    return int(line.split()[1]) * 1024
