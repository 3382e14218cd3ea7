"""A stub worker with an index that misjudges half of its sequences, until it is told of some influences.

Every sequence has another influence on a query, so that nothing is left to ties. The index takes those at odd positions
for half as influential as they are; a refined sketch is right about all of them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from frontend.stub_worker import StubWorker, origin, sequence
from whence import tensors
from whence.errors import UnavailableError
from whence.v1 import attribution_pb2, model_pb2, query_pb2, tensor_pb2
from whence.worker.v1 import worker_service_pb2 as messages

SHARDS = {"a": range(120), "b": range(120, 200)}
SEQUENCES = 200
ERROR = 0.5


def influence(length: int, position: int) -> float:
    """The influence of a sequence on a query whose completion has so many characters: -100 to 99, each once."""
    return float((37 * position + 11 * length) % SEQUENCES - 100)


def estimate(length: int, position: int, *, refined: bool) -> float:
    true = influence(length, position)
    return true if refined or position % 2 == 0 else true / 2


class IndexedStub(StubWorker):
    """Also answers searches. What it was asked is in ``searched``, ``refined``, ``rescored`` and ``drawn``.

    State: ``refusal``, what refinements fail with, and ``draw_refusal``, what draws do; ``may_refine``, which
    refinements wait for; ``rows_short``, how many rows a read leaves out, and ``rows_refusal``, what it fails with;
    ``last_search``, the number of the last search that is answered, if there is one, and ``late_s``, what later ones
    take; ``scoring_s``, what a sequence takes to be scored. ``left_s`` is how much time there was when hits were to be
    described. ``sharing`` are the positions that share tokens with any query, the most telling first;
    ``tokens_refusal``, what the search for them fails with, and ``may_match``, which it waits for. ``misjudges`` is
    whether the index does.
    """

    def __init__(self, shards: Sequence[str] = tuple(SHARDS)) -> None:
        super().__init__(shards)
        self.refined: list[messages.RefineSketchRequest] = []
        self.rescored: list[messages.RescoreRequest] = []
        self.searched: list[messages.SearchRequest] = []
        self.drawn: list[messages.DrawSequencesRequest] = []
        self.draw_refusal: Exception | None = None
        self.last_search = 0
        self.refusal: Exception | None = None
        self.may_refine = asyncio.Event()
        self.may_refine.set()
        self.rows_short = 0
        self.rows_refusal: Exception | None = None
        self.late_s = 0.0
        self.scoring_s = 0.0
        self.left_s = 0.0
        self.misjudges = True
        self.sharing: tuple[int, ...] = ()
        self.tokens_refusal: Exception | None = None
        self.may_match = asyncio.Event()
        self.may_match.set()

    async def GetInfo(self, request, context):  # noqa: N802 - the protocol's name
        info = await super().GetInfo(request, context)
        info.model.index.CopyFrom(model_pb2.Index(digest="i1", values=2, bits=1))
        info.model.corpus_sequences = SEQUENCES
        del info.shards[:]
        info.shards.extend(
            messages.CorpusShard(shard=name, sequences=len(SHARDS[name]), first_position=SHARDS[name].start)
            for name in self.shards
        )
        info.corpus_shards[:] = list(SHARDS)
        return info

    async def PrepareQueries(self, request, context):  # noqa: N802 - the protocol's name
        answer = await super().PrepareQueries(request, context)
        for query, prepared in zip(request.queries, answer.queries, strict=True):
            prepared.sketch.CopyFrom(_sketch(_length(query), refined=False))
        return answer

    async def Search(self, request, context):  # noqa: N802 - the protocol's name
        self.searched.append(request)
        if self.last_search and len(self.searched) > self.last_search:
            raise UnavailableError("gone", reason="WORKER_UNAVAILABLE")
        if self.late_s and len(self.searched) > 1:
            await asyncio.sleep(self.late_s)
        positions = [position for shard in request.shards for position in SHARDS[shard]]
        answer = messages.SearchResponse(sequences_searched=len(positions))
        for refined, length in tensors.rows(request.sketches):
            right = bool(refined) or not self.misjudges
            estimates = {p: estimate(int(length), p, refined=right) for p in positions}
            if request.direction != attribution_pb2.DIRECTION_NEGATIVE:
                answer.positive.append(_best(estimates, request.candidates, sign=1))
            if request.direction in (attribution_pb2.DIRECTION_NEGATIVE, attribution_pb2.DIRECTION_BOTH):
                answer.negative.append(_best(estimates, request.candidates, sign=-1))
        return answer

    async def CountTokens(self, request, context):  # noqa: N802 - the protocol's name
        if self.tokens_refusal is not None:
            raise self.tokens_refusal
        await self.may_match.wait()
        counts = [messages.TokenCounts(tokens=[1], counts=[1], sequences=[1]) for _ in request.queries]
        searched = sum(len(SHARDS[shard]) for shard in request.shards)
        return messages.CountTokensResponse(queries=counts, sequences_searched=searched)

    async def MatchTokens(self, request, context):  # noqa: N802 - the protocol's name
        held = {position for shard in request.shards for position in SHARDS[shard]}
        found = [(float(-rank), each) for rank, each in enumerate(self.sharing) if each in held][: request.candidates]
        matches = messages.Matches(
            positions=tensors.pack([each for _, each in found], [len(found)], tensor_pb2.DATA_TYPE_INT64),
            scores=tensors.pack([score for score, _ in found], [len(found)]),
        )
        return messages.MatchTokensResponse(queries=[matches] * len(request.queries), sequences_searched=len(held))

    async def Rescore(self, request, context):  # noqa: N802 - the protocol's name
        self.rescored.append(request)
        lengths = [_length(query) for query in request.queries]
        step = 1 if self.scoring_s else len(request.positions)
        for start in range(0, len(request.positions), max(1, step)):
            await asyncio.sleep(self.scoring_s)
            positions = request.positions[start : start + step]
            values = [influence(length, position) for length in lengths for position in positions]
            yield messages.RescoreResponse(
                positions=positions,
                raw_influence=tensors.pack(values, [len(lengths), len(positions)]),
                sequences=map(origin, positions) if request.progress else (),
            )

    async def DrawSequences(self, request, context):  # noqa: N802 - the protocol's name
        self.drawn.append(request)
        if self.draw_refusal is not None:
            raise self.draw_refusal
        positions = [position for shard in request.shards for position in SHARDS[shard]]
        priority = {position: random.Random(f"{request.seed}-{position}").random() for position in positions}
        best = sorted(positions, key=priority.__getitem__)[: request.count]
        return messages.DrawSequencesResponse(
            positions=tensors.pack(best, [len(best)], tensor_pb2.DATA_TYPE_INT64),
            priorities=tensors.pack([priority[position] for position in best], [len(best)]),
            sequences_searched=len(positions),
        )

    async def ReadIndexRows(self, request, context):  # noqa: N802 - the protocol's name
        if self.rows_refusal is not None:
            raise self.rows_refusal
        held = {position for shard in self.shards for position in SHARDS[shard]}
        assert held.issuperset(request.positions)
        rows = [str(position).encode() for position in request.positions]
        return messages.ReadIndexRowsResponse(rows=rows[: len(rows) - self.rows_short])

    async def RefineSketch(self, request, context):  # noqa: N802 - the protocol's name
        self.refined.append(request)
        if self.refusal is not None:
            raise self.refusal
        await self.may_refine.wait()
        _, length = tensors.unpack(request.sketch)
        count = len(request.rows)
        known = [estimate(int(length), int(each), refined=True) for each in request.rows]
        return messages.RefineSketchResponse(
            sketch=_sketch(int(length), refined=True),
            estimates=tensors.pack(known, [count], tensor_pb2.DATA_TYPE_FLOAT32),
            errors=tensors.pack([ERROR] * count, [count], tensor_pb2.DATA_TYPE_FLOAT32),
        )

    async def ScoreSequences(self, request, context):  # noqa: N802 - the protocol's name
        self.left_s = context.time_remaining()
        return messages.ScoreSequencesResponse(
            sequences=[
                messages.ScoredSequence(index=index, sequence=sequence(reference.position))
                for index, reference in enumerate(request.sequences)
            ]
        )


def _length(query: query_pb2.Query) -> int:
    return len(query.text.completion)


def _sketch(length: int, *, refined: bool) -> tensor_pb2.Tensor:
    return tensors.pack([float(refined), float(length)], [2], tensor_pb2.DATA_TYPE_FLOAT32)


def _best(estimates: dict[int, float], count: int, *, sign: int) -> messages.Estimates:
    best = sorted(estimates, key=lambda position: (-sign * estimates[position], position))[:count]
    return messages.Estimates(
        positions=tensors.pack(best, [len(best)], tensor_pb2.DATA_TYPE_INT64),
        estimates=tensors.pack([estimates[p] for p in best], [len(best)], tensor_pb2.DATA_TYPE_FLOAT32),
        errors=tensors.pack([ERROR] * len(best), [len(best)], tensor_pb2.DATA_TYPE_FLOAT32),
    )
