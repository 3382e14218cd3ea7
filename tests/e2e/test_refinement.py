"""The second round of a re-ranked search, with a real worker: what it is chosen by, and rows that are none."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence

import grpc
import numpy as np
import pytest

from e2e.conftest import Service
from e2e.harness import QUERY
from whence import status, tensors
from whence.v1 import tensor_pb2
from whence.worker.v1 import worker_service_pb2 as messages
from whence.worker.v1 import worker_service_pb2_grpc
from whence_backends.index import Index
from whence_backends.index.codes import Encoded
from whence_backends.index.refine import refine


@pytest.mark.parametrize("layers", [(), ("second",)])
def test_candidates_are_chosen_in_two_rounds(indexed: Service, layers: tuple[str, ...]):
    """Broken by: a second search with the first sketch, which finds what the first did."""
    first = indexed.client.attribute(QUERY, search="index_only", top_k=48, layers=layers)
    options = {"search": "index_rerank", "top_k": 48, "candidates": 48, "noise_sample": 0}
    answer = indexed.client.attribute(QUERY, **options, layers=layers)
    scanned = indexed.client.attribute(QUERY, search="full_scan", top_k=1000, layers=layers)
    positive = {hit.sequence_id for hit in scanned}  # of the candidates, those are in the answer
    candidates, before = ({hit.sequence_id for hit in hits} & positive for hits in (answer, first))
    assert answer.sequences_scored == 48
    assert candidates == {hit.sequence_id for hit in answer}
    assert candidates >= {hit.sequence_id for hit in first.positive[:24]} & positive
    assert candidates != before
    best = {hit.sequence_id for hit in scanned.positive[:40]}
    assert len(best & candidates) >= max(30, len(best & before) - 2)


@pytest.fixture
def asked(indexed: Service) -> Iterator[tuple[worker_service_pb2_grpc.WorkerServiceStub, messages.Generation]]:
    """The worker itself, and the generation that it serves."""
    with grpc.insecure_channel(indexed.worker.address) as channel:
        stub = worker_service_pb2_grpc.WorkerServiceStub(channel)
        held = stub.GetInfo(messages.GetInfoRequest()).model
        digests = {name: getattr(held, name) for name in ("model_digest", "factors_digest", "corpus_digest")}
        yield stub, messages.Generation(**digests, index_digest=held.index.digest)


def float32(values: Sequence[float]) -> tensor_pb2.Tensor:
    return tensors.pack(values, [len(values)], tensor_pb2.DATA_TYPE_FLOAT32)


def test_a_sketch_is_refined_by_the_rows_that_the_index_holds(asked, indexed: Service):
    """Broken by: influences of other rows; rows of other positions; a sketch that stays as it was."""
    stub, generation = asked
    index = Index.open(indexed.artefacts.index)
    positions, sketch = [60, 3, 41, 7, 12], np.linspace(-1, 2, index.card.width, dtype=np.float32)
    influences = np.array([5.0, -1.0, 2.5, 0.0, 3.0])
    read = stub.ReadIndexRows(messages.ReadIndexRowsRequest(generation=generation, positions=positions))
    answer = stub.RefineSketch(
        messages.RefineSketchRequest(
            generation=generation,
            sketch=float32(sketch.tolist()),
            rows=read.rows,
            raw_influence=tensors.pack(influences, [len(influences)]),
        )
    )
    shards = list(index.shards.values())
    codes, scales = (np.concatenate([getattr(rows, name) for rows in shards]) for name in ("codes", "scales"))
    expected = refine(sketch, Encoded(codes[positions], scales[positions]), influences, index.card.segments)
    np.testing.assert_allclose(tensors.unpack(answer.sketch), expected.sketch, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tensors.unpack(answer.estimates), expected.estimates, rtol=1e-4)
    np.testing.assert_allclose(tensors.unpack(answer.errors), expected.errors, rtol=1e-4)


def test_what_is_no_row_of_the_index_is_refused(asked, indexed: Service):
    stub, generation = asked
    read = stub.ReadIndexRows(messages.ReadIndexRowsRequest(generation=generation, positions=[3, 1]))
    card = indexed.client.model().index
    assert [len(row) for row in read.rows] == [card.bytes_per_sequence - 4] * 2  # less its self-influence

    def refused(rows: list[bytes], influences: list[float]) -> str:
        request = messages.RefineSketchRequest(
            generation=generation,
            sketch=float32([1.0] * card.values),
            rows=rows,
            raw_influence=tensors.pack(influences, [len(influences)]),
        )
        with pytest.raises(grpc.RpcError) as caught:
            stub.RefineSketch(request)
        return status.from_call(caught.value).reason

    first, second = read.rows
    assert refused([first, second[:-1]], [1.0, 2.0]) == "INVALID_INDEX_ROWS"
    assert refused([first[:-4] + struct.pack("<f", math.nan)], [1.0]) == "INVALID_INDEX_ROWS"
    assert refused([first, second], [1.0]) == "INVALID_INDEX_ROWS"
    assert refused([first, second], [1.0, math.inf]) == "INVALID_INDEX_ROWS"
    assert refused([first] * 1025, [1.0] * 1025) == "TOO_MANY_ROWS"
    for positions, reason in (([100_000], "SEQUENCE_NOT_FOUND"), ([1] * 1025, "TOO_MANY_ROWS")):
        with pytest.raises(grpc.RpcError) as caught:
            stub.ReadIndexRows(messages.ReadIndexRowsRequest(generation=generation, positions=positions))
        assert status.from_call(caught.value).reason == reason
