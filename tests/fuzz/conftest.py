"""Processes of their own, since what is fuzzed is also watched: whether they live, what they log, how they grow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from e2e.harness import Artefacts, Process, launcher, make_artefacts, make_index
from whence import status, tensors
from whence.v1 import attribution_service_pb2, query_pb2, tensor_pb2
from whence.worker.v1 import worker_service_pb2, worker_service_pb2_grpc

# What no caller is to see: tracebacks, and paths of the server.
INTERNAL: Final = re.compile(
    rf"Traceback|\.py\b|site-packages|{re.escape(str(Path(__file__).parents[2]))}|/tmp/|\bFile \""
)
# The refusals of a request that says nothing the server could do.
REFUSALS: Final = {
    grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.DEADLINE_EXCEEDED,
}  # fmt: skip
# A line of ours, one of gRPC's core, or one of a traceback within gRPC, which it prints where a caller was gone before
# it could be told.
_LOGGED: Final = re.compile(
    r"\{.*\}|[WE]\d{4} [\d:.]+ +\d+ \w+\.cc:\d+\] [ -~]*"
    r"|Traceback \(most recent call last\):|  File \"src/python/grpcio/[ -~]*|grpc\._cython\.cygrpc\.\w+: [ -~]*"
)
_HEALTH_S: Final = 20.0
_GROWTH_BYTES: Final = 48 << 20


@dataclass(frozen=True, kw_only=True)
class Target:
    """A port, the process behind it, the service that it serves and values that it knows."""

    process: Process
    service: Any  # the descriptor
    known: dict[str, list[Any]]

    @property
    def address(self) -> str:
        return self.process.address

    @property
    def memory_bytes(self) -> int:
        return int(psutil.Process(self.process.process.pid).memory_info().rss)

    def assert_well(self) -> None:
        """It lives, says that it serves, and met nothing that it was not written for."""
        assert self.process.process.poll() is None, self.process.log.read_text()[-3000:]
        with grpc.insecure_channel(self.address) as channel:
            request = health_pb2.HealthCheckRequest(service=self.service.full_name)
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=_HEALTH_S)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        log = self.process.log.read_text(errors="replace")
        assert "uncaught exception" not in log, log[log.index("uncaught exception") :][:3000]
        # Whoever connects writes no line of the log, nor a part of one: there are ours and those of gRPC itself.
        assert not (foreign := [line for line in log.splitlines() if not _LOGGED.fullmatch(line)]), foreign

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Hold it to its memory and its health through the ``with``."""
        self.assert_well()
        before = self.memory_bytes
        yield
        self.assert_well()
        grown = self.memory_bytes - before
        assert grown < _GROWTH_BYTES, f"grew by {grown / 2**20:.0f} MiB"


def assert_typed(failure: grpc.RpcError, request: object) -> None:
    """A refusal has a code and a reason that the interface knows, and tells nothing of the server's inside."""
    error = status.from_call(failure)
    assert error.code in REFUSALS, (error.code, error.message, request)
    assert not INTERNAL.search(error.message), error.message


@pytest.fixture(scope="package")
def with_index(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    folder = tmp_path_factory.mktemp("fuzzed")
    return make_index(make_artefacts(folder, documents=20), folder / "index")


@pytest.fixture(scope="package")
def targets(with_index: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Target]]:
    """A front end and its worker, each with what it knows."""
    with launcher(tmp_path_factory.mktemp("logs")) as launch:
        worker = launch.worker(with_index)
        front = launch.front(worker)
        for process in (worker, front):
            process.wait_for("serving")
        known = _known(worker, with_index)
        yield {
            "front": Target(
                process=front,
                service=attribution_service_pb2.DESCRIPTOR.services_by_name["AttributionService"],
                known=known,
            ),
            "worker": Target(
                process=worker,
                service=worker_service_pb2.DESCRIPTOR.services_by_name["WorkerService"],
                known=known,
            ),
        }


@pytest.fixture(params=["front", "worker"])
def target(targets: dict[str, Target], request: pytest.FixtureRequest) -> Target:
    return targets[request.param]


def _known(worker: Process, artefacts: Artefacts) -> dict[str, list[Any]]:
    with grpc.insecure_channel(worker.address) as channel:
        info = worker_service_pb2_grpc.WorkerServiceStub(channel).GetInfo(worker_service_pb2.GetInfoRequest())
    corpus, model = artefacts.open_corpus(), info.model
    generation = worker_service_pb2.Generation(
        model_digest=model.model_digest,
        factors_digest=model.factors_digest,
        corpus_digest=model.corpus_digest,
        index_digest=model.index.digest,
    )
    text = query_pb2.Query(text=query_pb2.PromptCompletion(prompt="the keeper ", completion="lit"))
    tokens = query_pb2.Query(tokens=query_pb2.TokenIds(ids=[1, 2, 3, 4], completion_start=2))
    ids = [corpus.record(position).sequence_id for position in range(5)]
    rows = worker_service_pb2.ReadIndexRowsRequest(generation=generation, positions=[0])
    with grpc.insecure_channel(worker.address) as channel:
        (row,) = worker_service_pb2_grpc.WorkerServiceStub(channel).ReadIndexRows(rows).rows
    values = [0.5] * model.index.values
    sketch = tensors.pack(values, [len(values)], tensor_pb2.DATA_TYPE_FLOAT32)
    sketches = tensors.pack(values, [1, len(values)], tensor_pb2.DATA_TYPE_FLOAT32)
    shards = [shard.shard for shard in info.shards]
    return {
        "generation": [generation],
        "model": ["", model.name],
        "name": [model.name],
        "query": [text, tokens],
        "queries": [text, tokens, worker_service_pb2.TokenWeights(tokens=[1, 2], weights=[1.0, 0.5])],
        "sequence": [attribution_service_pb2.SequenceSelector(sequence_id=name) for name in ids],
        "sequences": [
            *(attribution_service_pb2.SequenceSelector(sequence_id=name) for name in ids),
            *(worker_service_pb2.SequenceReference(sequence_id=name) for name in ids),
        ],
        "shards": shards,
        "positions": list(range(5)),
        "sketch": [sketch],
        "sketches": [sketches],
        "rows": [row],
        "raw_influence": [tensors.pack([0.5], [1])],
        "layers": [0],
        "damping_factor": [0.1, 1e-3],
        "page_token": [""],
        "request_id": [""],
        "top_k": [1, 3],
        "candidates": [5, 20],
        "samples": [30],
        "count": [20],
        "group_by": ["source"],
    }
