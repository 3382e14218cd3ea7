"""Scores of given sequences, by layer and token, over the wire."""

from __future__ import annotations

import numpy as np
import pytest

from whence.errors import InvalidRequestError, MismatchError, NotFoundError
from whence.tensors import unpack
from whence.worker.v1 import worker_service_pb2 as pb
from worker.harness import LAYERS, Running, Serve, ask, failure

QUERIES = (ask(), ask("a gull ", "at sea"))


def at(*positions: int) -> list[pb.SequenceReference]:
    return [pb.SequenceReference(position=position) for position in positions]


def array(tensor) -> np.ndarray:
    return np.array(unpack(tensor)).reshape(tuple(tensor.shape))


async def test_scores_are_those_of_the_scan_in_the_order_of_the_request(tiny: Running):
    candidates = (await tiny.scan(*QUERIES)).candidates[1].positive
    response = await tiny.score(queries=QUERIES, sequences=at(*(c.position for c in candidates)))
    assert [scored.index for scored in response.sequences] == list(range(5))
    found = [array(scored.raw_influence)[1] for scored in response.sequences]
    assert found == [candidate.raw_influence for candidate in candidates]


async def test_layers_sum_to_the_total_and_tokens_to_the_layers(tiny: Running):
    request = {"queries": QUERIES, "sequences": at(3, 60, 17)}
    total, layers, tokens = [
        await tiny.score(**request, detail=detail)
        for detail in (pb.DETAIL_TOTAL, pb.DETAIL_LAYERS, pb.DETAIL_LAYERS_TOKENS)
    ]
    for one, by_layer, by_token in zip(total.sequences, layers.sequences, tokens.sequences, strict=True):
        assert array(by_token.raw_influence).shape == (2, len(LAYERS), one.sequence.token_count)
        np.testing.assert_allclose(array(by_token.raw_influence).sum(axis=2), array(by_layer.raw_influence))
        np.testing.assert_allclose(array(by_layer.raw_influence).sum(axis=1), array(one.raw_influence))


async def test_a_sequence_is_known_by_its_id_as_by_its_position(tiny: Running):
    [by_position] = (await tiny.score(queries=QUERIES, sequences=at(42))).sequences
    by_id = await tiny.score(
        queries=QUERIES, sequences=[pb.SequenceReference(sequence_id=by_position.sequence.sequence_id)]
    )
    assert by_id.sequences[0] == by_position


async def test_a_sequence_comes_with_all_that_is_known_of_it(tiny: Running):
    [scored] = (await tiny.score(sequences=at(0), lookup_only=True)).sequences
    sequence = scored.sequence
    assert (sequence.sequence_id, sequence.document_id, sequence.source) == ("doc0#0", "doc0", "tale")
    assert sequence.metadata["year"] == 1900
    assert sequence.token_count == len(sequence.text)
    assert not sequence.token_offsets.data


async def test_token_offsets_come_with_token_scores(tiny: Running):
    [scored] = (await tiny.score(queries=QUERIES, sequences=at(5), detail=pb.DETAIL_LAYERS_TOKENS)).sequences
    offsets = array(scored.sequence.token_offsets).astype(int)
    assert "".join(scored.sequence.text[start:end] for start, end in offsets) == scored.sequence.text


async def test_looking_up_computes_nothing(tiny: Running):
    response = await tiny.score(sequences=at(1, 2), lookup_only=True)
    assert tiny.engine.calls == []
    assert not response.log_likelihood.data
    assert not any(scored.raw_influence.data for scored in response.sequences)


async def test_a_text_scores_like_the_same_sequence_of_the_corpus(tiny: Running):
    [held] = (await tiny.score(queries=QUERIES, sequences=at(7))).sequences
    [given] = (await tiny.score(queries=QUERIES, sequences=[pb.SequenceReference(text=held.sequence.text)])).sequences
    assert given.raw_influence == held.raw_influence
    assert (given.sequence.text, given.sequence.sequence_id) == (held.sequence.text, "")


async def test_the_log_likelihood_of_each_query_is_returned(tiny: Running):
    response = await tiny.score(queries=QUERIES, sequences=at(1))
    prepared = await tiny.prepare(*QUERIES)
    assert unpack(response.log_likelihood) == [query.log_likelihood for query in prepared.queries]


async def test_no_sequences_are_no_scores(tiny: Running):
    response = await tiny.score(queries=QUERIES)
    assert len(response.sequences) == 0
    assert len(unpack(response.log_likelihood)) == 2


async def test_a_sequence_of_another_shard_is_not_found_unless_it_may_be_skipped(serve: Serve):
    references = [*at(0, 68), pb.SequenceReference(sequence_id="nobody#0"), *at(2**63)]
    async with serve(shards="shard-00000") as worker:
        for reference in references[1:]:
            error = await failure(worker.stub.ScoreSequences(request(worker, [reference])))
            assert isinstance(error, NotFoundError)
            assert error.reason == "SEQUENCE_NOT_FOUND"
        response = await worker.score(queries=QUERIES, sequences=[*references[1:], *at(3)], skip_unknown=True)
        assert [scored.index for scored in response.sequences] == [3]


@pytest.mark.parametrize(
    ("reference", "reason", "field"),
    [
        (pb.SequenceReference(text="owl " * 20), "TOO_LONG_SEQUENCE", "sequences[1].text"),
        (pb.SequenceReference(text="o"), "TOO_SHORT_SEQUENCE", "sequences[1].text"),
        (pb.SequenceReference(text=""), "TOO_SHORT_SEQUENCE", "sequences[1].text"),
        (pb.SequenceReference(), "MISSING_SEQUENCE_REFERENCE", "sequences[1]"),
    ],
)
async def test_what_cannot_be_a_training_sequence_is_refused(tiny: Running, reference, reason: str, field: str):
    error = await failure(tiny.stub.ScoreSequences(request(tiny, [*at(0), reference])))
    assert isinstance(error, InvalidRequestError)
    assert (error.reason, error.field) == (reason, field)


async def test_an_influence_that_is_not_a_number_fails_the_call(tiny: Running):
    await tiny.prepare(*QUERIES)
    tiny.engine.poisoned_token = 5
    error = await failure(tiny.stub.ScoreSequences(request(tiny, at(0, 1, 2, 3))))
    assert error.reason == "NON_FINITE_INFLUENCE"


async def test_scan_and_score_of_one_request_precondition_once(tiny: Running):
    await tiny.scan(*QUERIES)
    await tiny.score(queries=QUERIES, sequences=at(1))
    assert tiny.engine.count("precondition") == 1


@pytest.mark.parametrize("part", ["model_digest", "factors_digest", "corpus_digest"])
async def test_a_request_for_other_artefacts_is_refused(tiny: Running, part: str):
    setattr(tiny.generation, part, "blake3:other")
    calls = (
        tiny.stub.ScoreSequences(request(tiny, at(0))),
        tiny.stub.Scan(tiny.scan_request(*QUERIES)),
        tiny.stub.PrepareQueries(pb.PrepareQueriesRequest(generation=tiny.generation, queries=QUERIES)),
    )
    for call in calls:
        error = await failure(call)
        assert isinstance(error, MismatchError)
        assert (error.reason, error.details["what"]) == ("GENERATION_MISMATCH", part)


def request(worker: Running, references: list[pb.SequenceReference]) -> pb.ScoreSequencesRequest:
    return pb.ScoreSequencesRequest(
        generation=worker.generation,
        queries=QUERIES,
        sequences=references,
        preconditioning=pb.Preconditioning(damping_factor=0.1),
    )
