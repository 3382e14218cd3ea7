"""Results from messages: pandas tables, and answers that contradict themselves."""

from __future__ import annotations

import sys

import pytest

import whence
from whence import parsing, tensors
from whence.v1 import attribution_pb2, attribution_service_pb2, tensor_pb2

QUESTION = {"prompt": "The capital of Durrow is", "completion": " Brelary"}


@pytest.fixture
def client(target):
    with whence.Client(target) as client:
        yield client


def test_hits_become_rows(client):
    result = client.attribute(**QUESTION, direction="both", include_layers=True)
    frame = result.to_pandas()
    assert list(frame["sequence_id"]) == [hit.sequence_id for hit in result]
    assert list(frame["influence"]) == [hit.influence for hit in result]
    assert list(frame["metadata.year"]) == [1283] * 3


def test_layers_become_columns_on_demand(client):
    frame = client.attribute(**QUESTION, include_layers=True).to_pandas(layers=True)
    layers = frame[[column for column in frame if column.startswith("layer.")]]
    assert layers.sum(axis=1).to_list() == pytest.approx(frame["influence"].to_list())


def test_layers_that_were_not_asked_for_cannot_become_columns(client):
    with pytest.raises(whence.UnimplementedError, match="include_layers=True"):
        client.attribute(**QUESTION).to_pandas(layers=True)


def test_a_ranking_without_hits_is_an_empty_table():
    frame = parsing.attribution(attribution_service_pb2.AttributeResponse()).to_pandas()
    assert len(frame) == 0
    assert "influence" in frame.columns


def test_scores_become_a_table_of_queries_and_sequences(client):
    queries = [whence.Query.text("a", "b", query_id="first"), whence.Query.text("a", "c")]
    frame = client.score(queries, sequence_ids=["letters/durrow-1#0"], texts=["Brelary"]).to_pandas()
    assert list(frame.index) == ["first", "query 2"]
    assert list(frame.columns) == ["letters/durrow-1#0", "text 1"]


def test_an_explanation_becomes_a_table_of_layers_and_tokens(client):
    result = client.explain(**QUESTION, text="we saw Brelary")
    frame = result.to_pandas()
    assert list(frame.columns) == ["we", " saw", " Brelary"]
    assert frame.to_numpy().sum() == pytest.approx(result.influence)


def test_a_missing_pandas_names_the_extra(client, monkeypatch):
    result = client.attribute(**QUESTION)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(whence.UnimplementedError, match=r"pip install 'whence\[pandas\]'"):
        result.to_pandas()


def hit(**fields) -> attribution_service_pb2.AttributeResponse:
    return attribution_service_pb2.AttributeResponse(
        attribution=attribution_pb2.Attribution(positive=[attribution_pb2.Hit(rank=1, **fields)]),
        metadata=attribution_pb2.ResponseMetadata(layers=["a", "b"]),
    )


def sequence(text: str, *offsets: int) -> attribution_pb2.TrainingSequence:
    tensor = tensors.pack(offsets, [len(offsets) // 2, 2], tensor_pb2.DATA_TYPE_INT32)
    return attribution_pb2.TrainingSequence(text=text, token_offsets=tensor)


@pytest.mark.parametrize(
    "response",
    [
        hit(layer_influence=tensors.pack([1.0, 2.0, 3.0], [3])),
        hit(layer_influence=tensors.pack([1.0, 2.0], [2, 1])),
        hit(token_influence=tensors.pack([1.0], [1])),
        hit(token_influence=tensors.pack([1.0], [1]), sequence=sequence("abc", 0, 4)),
        hit(token_influence=tensors.pack([1.0], [1]), sequence=sequence("abc", 2, 1)),
        hit(layer_influence=tensor_pb2.Tensor(data_type=2, shape=[2], data=b"short")),
    ],
)
def test_an_answer_that_contradicts_itself_is_refused(response):
    with pytest.raises(whence.InternalError, match="contradicts itself") as caught:
        parsing.attribution(response)
    assert caught.value.reason == "INVALID_ANSWER"


def test_a_batch_with_a_ranking_missing_is_refused():
    response = attribution_service_pb2.BatchAttributeResponse(attributions=[attribution_pb2.Attribution()])
    with pytest.raises(whence.InternalError, match="1 rankings for 2 queries"):
        parsing.attributions(response, 2)


def test_a_score_table_of_another_shape_is_refused():
    response = attribution_service_pb2.ScoreResponse(influence=tensors.pack([1.0, 2.0], [2, 1]))
    with pytest.raises(whence.InternalError, match=r"\(2, 1\) where \(1, 0\) belongs"):
        parsing.score_table(response, ["only"])


def test_events_of_a_later_version_are_skipped():
    assert parsing.event(attribution_service_pb2.StreamAttributeResponse()) is None


def test_times_of_one_stage_are_summed():
    response = hit()
    for seconds in (0.5, 0.25):
        response.metadata.timings.add(stage="score", seconds=seconds)
    assert parsing.attribution(response).timings == {"score": 0.75}
