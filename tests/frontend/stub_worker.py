"""A worker whose influences are a small table: real sockets, real protocol, no model.

``python stub_worker.py`` runs one as a process of its own that prints its address, for tests that kill it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence

from whence import tensors
from whence.errors import MismatchError, NotFoundError
from whence.v1 import attribution_pb2, certificate_pb2, model_pb2, query_pb2
from whence.worker.v1 import worker_service_pb2 as messages
from whence.worker.v1 import worker_service_pb2_grpc
from whence_service.rpc import tenants
from whence_service.rpc.certificates import TlsFiles
from whence_service.rpc.hosting import HostSettings, RpcHost
from whence_service.rpc.identity import current_identity
from whence_service.rpc.interceptors import CallInterceptor
from whence_service.rpc.logging import configure_logging
from whence_service.rpc.request_ids import current_request_id

SERVICE = "whence.worker.v1.WorkerService"
CORPUS = {"a": range(4), "b": range(4, 7), "c": range(7, 12)}
TRAINING_SET_SIZE = 100
DAMPING = 0.1
TRUNCATION = 0.125  # what a bounded rank costs, for each shard that a worker holds
# float [layers, tokens]: how every influence is split; the sum is 1 and every product is exact.
SPLIT = ((0.5, 0.25, 0.0), (0.125, 0.0625, 0.0625))


def influence(query: query_pb2.Query, position: int) -> float:
    """Small whole numbers with many ties, different for queries of different length."""
    return float((7 * position + 3 * len(query.text.completion)) % 5 - 2)


def log_likelihood(query: query_pb2.Query) -> float:
    return -float(len(query.text.completion))


def sequence(position: int, *, text: str = "") -> attribution_pb2.TrainingSequence:
    return attribution_pb2.TrainingSequence(
        sequence_id="" if text else f"doc{position}#0",
        document_id="" if text else f"doc{position}",
        source="" if text else "stub",
        text=text or f"text of {position}",
        token_count=3,
        token_offsets=tensors.pack([0, 1, 1, 2, 2, 3], [3, 2]),
    )


def origin(position: int) -> attribution_pb2.TrainingSequence:
    """What progress says of a sequence: no text."""
    described = sequence(position)
    described.ClearField("text")
    described.ClearField("token_offsets")
    return described


class StubWorker(worker_service_pb2_grpc.WorkerServiceServicer):
    """Answers from the table. What it was asked is in ``prepared``, ``scanned`` and ``scored``."""

    def __init__(self, shards: Sequence[str] = tuple(CORPUS), *, model: str = "tiny", factors: str = "f1") -> None:
        self.shards = tuple(shards)
        self.model = model
        self.factors = factors
        self.prepared: list[messages.PrepareQueriesRequest] = []
        self.scanned: list[messages.ScanRequest] = []
        self.scored: list[messages.ScoreSequencesRequest] = []
        self.request_ids: list[str] = []
        self.tenants: list[str] = []
        self.remaining_s: list[float] = []
        self.scanning = asyncio.Event()  # set once a scan has begun
        self.cancelled = asyncio.Event()  # set once a scan was cancelled
        self.may_finish = asyncio.Event()  # scans wait for it after their first progress
        self.may_finish.set()
        self.failure: Exception | None = None  # what scans fail with, after their first progress
        self.rounding: dict[int, float] = {}  # by position: what split influences are multiplied by
        self.incomplete = False  # whether scans end without saying that they are done
        self.training_set_size = TRAINING_SET_SIZE
        self.certificate: certificate_pb2.Certificate | None = None
        self.says: tuple[str, ...] = ()  # codes of what it warns of

    async def GetInfo(self, request, context):  # noqa: N802 - the protocol's name
        return messages.GetInfoResponse(
            model=model_pb2.Model(
                name=self.model,
                model_digest="m1",
                factors_digest=self.factors,
                corpus_digest="c1",
                layers=[model_pb2.Layer(name=f"layer{n}", d_in=2, d_out=2) for n in range(len(SPLIT))],
                corpus_sequences=12,
                training_set_size=self.training_set_size,
                training_set_source="worker",
                warnings=[attribution_pb2.Warning(code=code, message=code.lower()) for code in self.says],
                default_damping_factor=DAMPING,
                certificate=self.certificate,
                engine="stub/float64",
                limits=model_pb2.Limits(max_query_tokens=8, max_queries=4, max_batch_queries=40),
            ),
            shards=[
                messages.CorpusShard(shard=shard, sequences=len(CORPUS[shard]), first_position=CORPUS[shard].start)
                for shard in self.shards
            ],
            corpus_shards=list(CORPUS),
        )

    async def PrepareQueries(self, request, context):  # noqa: N802 - the protocol's name
        self._check(request)
        self.prepared.append(request)
        self.request_ids.append(current_request_id())
        tenants.enter(context.invocation_metadata())
        self.tenants.append(current_identity().tenant)
        self.remaining_s.append(context.time_remaining())
        return messages.PrepareQueriesResponse(
            queries=[
                messages.PreparedQuery(
                    query_key=f"key:{query.text.completion}",
                    log_likelihood=log_likelihood(query),
                    completion_tokens=len(query.text.completion),
                )
                for query in request.queries
            ],
            timings=[attribution_pb2.StageTiming(stage="forward_backward", seconds=0.25)],
            warnings=[attribution_pb2.Warning(code="STUB", message="these numbers mean nothing")],
        )

    async def Scan(self, request, context):  # noqa: N802 - the protocol's name
        self._check(request)
        self.scanned.append(request)
        self.scanning.set()
        positions = [position for shard in request.shards for position in CORPUS[shard]]
        try:
            if request.progress or self.failure or not self.may_finish.is_set():
                yield self._answer(request, positions, scanned=1)
            if self.failure is not None:
                raise self.failure
            await self.may_finish.wait()
            yield self._answer(request, positions, scanned=len(positions))
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def ScoreSequences(self, request, context):  # noqa: N802 - the protocol's name
        self._check(request)
        self.scored.append(request)
        answer = messages.ScoreSequencesResponse()
        if not request.lookup_only:
            values = [log_likelihood(query) for query in request.queries]
            answer.log_likelihood.CopyFrom(tensors.pack(values, [len(values)]))
        for index, reference in enumerate(request.sequences):
            position = self._find(reference)
            if position is None and not request.skip_unknown:
                raise NotFoundError(f"not here: {reference}", reason="SEQUENCE_NOT_FOUND")
            if position is None:
                continue
            scored = answer.sequences.add(index=index, sequence=sequence(position, text=reference.text))
            if not request.lookup_only:
                scored.raw_influence.CopyFrom(_parts(request, position, self.rounding.get(position, 1.0)))
        return answer

    async def OverlapTokens(self, request, context):  # noqa: N802 - the protocol's name
        """A query has as many tokens as its completion has letters, and the last two positions of a shard have it."""
        self._check(request)
        held = [position for shard in request.shards for position in CORPUS[shard]]
        nearest = [max(held) - 1, max(held)]
        return messages.OverlapTokensResponse(
            queries=[
                messages.TokenOverlap(
                    tokens=len(query.text.completion),
                    ngram=min(request.ngram, len(query.text.completion)),
                    shared_ngrams=1,
                    longest_run=len(query.text.completion),
                    sequences=len(nearest),
                    position=nearest[0],
                )
                for query in request.queries
            ],
            sequences_searched=len(held),
        )

    def _find(self, reference: messages.SequenceReference) -> int | None:
        if reference.WhichOneof("reference") == "text":
            return len(reference.text)
        if reference.WhichOneof("reference") in ("completion", "chat"):
            return 0
        held = [position for shard in self.shards for position in CORPUS[shard]]
        if reference.WhichOneof("reference") == "position":
            return reference.position if reference.position in held else None
        return next((position for position in held if reference.sequence_id == f"doc{position}#0"), None)

    def _answer(self, request, positions, *, scanned):
        seen = positions[:scanned]
        done = scanned == len(positions) and not self.incomplete
        lost = TRUNCATION * len(self.shards) if request.preconditioning.rank else 0.0
        return messages.ScanResponse(
            sequences_scored=scanned,
            sequences_total=len(positions),
            candidates=[_candidates(query, seen, request) for query in request.queries],
            done=done,
            timings=[attribution_pb2.StageTiming(stage="score", seconds=0.5)] if done else [],
            truncation_errors=[lost] * len(request.queries) if done else [],
        )

    def _check(self, request) -> None:
        if request.generation.factors_digest != self.factors:
            raise MismatchError("other factors", reason="GENERATION_MISMATCH")


def _candidates(query, positions, request):
    ranked = [
        messages.Candidate(
            shard=_shard_of(position),
            position=position,
            raw_influence=influence(query, position),
            sequence=origin(position) if request.progress else None,
        )
        for position in positions
    ]
    both = request.direction == attribution_pb2.DIRECTION_BOTH
    positive = sorted(ranked, key=lambda candidate: (-candidate.raw_influence, candidate.position))
    negative = sorted(ranked, key=lambda candidate: (candidate.raw_influence, candidate.position))
    return messages.Candidates(
        positive=positive[: request.top_k] if both or request.direction == attribution_pb2.DIRECTION_POSITIVE else [],
        negative=negative[: request.top_k] if both or request.direction == attribution_pb2.DIRECTION_NEGATIVE else [],
    )


def _parts(request, position, rounding):
    totals = [influence(query, position) * rounding for query in request.queries]
    layers, tokens = len(SPLIT), len(SPLIT[0])
    if request.detail == messages.DETAIL_TOTAL:
        return tensors.pack(totals, [len(totals)])
    if request.detail == messages.DETAIL_LAYERS:
        return tensors.pack([total * sum(row) for total in totals for row in SPLIT], [len(totals), layers])
    values = [total * share for total in totals for row in SPLIT for share in row]
    return tensors.pack(values, [len(totals), layers, tokens])


def _shard_of(position: int) -> str:
    return next(shard for shard, positions in CORPUS.items() if position in positions)


async def host_stub(stub: StubWorker, address: str = "127.0.0.1:0", tls: TlsFiles | None = None) -> tuple[RpcHost, str]:
    """Serve ``stub`` and return its host and its address."""
    settings = HostSettings(address=address, drain_s=0.0, grace_s=1.0, reflection=False, tls=tls, tls_reload_s=0.05)
    host = RpcHost(settings, [CallInterceptor()], [SERVICE])
    worker_service_pb2_grpc.add_WorkerServiceServicer_to_server(stub, host.server)
    bound = await host.start()
    host.set_serving(SERVICE, True)
    return host, bound


async def main() -> None:
    """Serve shards named on the command line; scans never finish. Ends when it is killed."""
    configure_logging("json", stream=sys.stderr)
    stub = StubWorker(sys.argv[1:])
    stub.may_finish.clear()
    host, address = await host_stub(stub)
    sys.stdout.write(json.dumps({"address": address}) + "\n")
    sys.stdout.flush()
    await host.serve_until_signalled()


if __name__ == "__main__":
    asyncio.run(main())
