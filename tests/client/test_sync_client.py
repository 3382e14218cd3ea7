"""The synchronous client, over a real socket."""

from __future__ import annotations

import math
import threading
import time

import grpc
import pytest

import whence
from whence import _channel
from whence.cli.progress import best_so_far
from whence.errors import ERRORS

QUESTION = {"prompt": "The capital of Durrow is", "completion": " Brelary"}
QUICK = whence.RetryPolicy(max_attempts=4, initial_backoff_s=0.01, max_backoff_s=0.02)


@pytest.fixture
def client(target):
    with whence.Client(target, timeout_s=20, retry=QUICK) as client:
        yield client


def test_a_ranking_iterates_over_its_hits(client):
    result = client.attribute(**QUESTION, direction="both")
    assert [hit.sequence_id for hit in result] == [hit.sequence_id for hit in result.positive + result.negative]
    assert (len(result.positive), len(result.negative), len(result)) == (2, 1, 3)
    assert result.positive[0].source == "letters"
    assert result.positive[0].metadata == {"share": 0.5, "topic": "Durrow", "year": 1283}


def test_layers_and_tokens_sum_to_the_influence(client):
    for hit in client.attribute(**QUESTION, direction="both", include_layers=True, include_tokens=True):
        assert math.fsum(hit.layer_influence.values()) == pytest.approx(hit.influence, rel=1e-12)
        assert math.fsum(token.influence for token in hit.tokens) == pytest.approx(hit.influence, rel=1e-12)
        assert "".join(token.text for token in hit.tokens) == hit.text


def test_layers_and_tokens_are_none_unless_asked_for(client):
    for hit in client.attribute(**QUESTION):
        assert hit.layer_influence is None
        assert hit.tokens is None


def test_an_answer_says_where_it_comes_from(client):
    result = client.attribute(**QUESTION, request_id="mine")
    assert (result.request_id, result.log_likelihood, result.completion_tokens) == ("mine", -1.25, 2)
    assert result.provenance.training_set_size == 1000
    assert result.timings == {"score": 0.25}
    assert [warning.code for warning in result.warnings] == ["SHORT_CORPUS"]


def test_every_call_has_a_request_id(client):
    assert client.attribute(**QUESTION).request_id != client.attribute(**QUESTION).request_id


def test_options_reach_the_server(client, service):
    client.attribute(**QUESTION, top_k=3, direction="negative", damping_factor=0.0, search="full_scan", model="toy")
    (request,) = service.requests
    assert (request.model, request.query.text.completion) == ("toy", " Brelary")
    assert request.options.HasField("damping_factor")
    assert (request.options.top_k, request.options.direction, request.options.search) == (3, 2, 1)


def test_the_models_damping_is_used_unless_one_is_given(client, service):
    client.attribute(**QUESTION)
    assert not service.requests[0].options.HasField("damping_factor")


def test_metadata_goes_with_every_call(target, service):
    with whence.Client(target, metadata=[("authorization", "Bearer abc")]) as client:
        client.model()
        list(client.attribute_stream(**QUESTION))
    assert [sent["authorization"] for sent in service.metadata] == ["Bearer abc"] * 2


def test_a_batch_answers_in_the_order_of_its_queries(client):
    queries = [whence.Query.text("a", "b", query_id=name) for name in ("first", "second")]
    assert [result.query_id for result in client.attribute_batch(queries)] == ["first", "second"]


def test_a_stream_is_progress_and_then_the_answer(client):
    *progress, answer = client.attribute_stream(**QUESTION)
    assert [event.sequences_scored for event in progress] == [1, 2]
    assert progress[-1].share == pytest.approx(2 / 3)
    assert answer.positive == client.attribute(**QUESTION).positive


def test_progress_names_the_best_sequences_so_far(client):
    (event, *_) = client.attribute_stream(**QUESTION)
    (hit,) = event.positive
    assert (hit.sequence_id, hit.document_id, hit.source) == ("letters/durrow-1#0", "letters/durrow-1", "letters")
    assert hit.text == ""
    assert best_so_far(event).endswith(" letters/durrow-1#0")


def test_a_score_table_has_ids_first_and_then_texts(client):
    ids = ["letters/durrow-1#0"]
    table = client.score(**QUESTION, sequence_ids=ids, texts=["to Brelary", "no"], include_layers=True)
    assert table.sequence_names == ["letters/durrow-1#0", "text 1", "text 2"]
    for total, by_layer in zip(table.influence[0], table.layer_influence[0], strict=True):
        assert math.fsum(by_layer) == pytest.approx(total, rel=1e-12)
    assert table.log_likelihood == (-1.25,)


def test_an_explanation_sums_over_layers_and_tokens(client):
    result = client.explain(**QUESTION, sequence_id="letters/durrow-1#0")
    assert math.fsum(map(math.fsum, result.parts)) == pytest.approx(result.influence, rel=1e-12)
    assert math.fsum(result.layer_influence.values()) == pytest.approx(result.influence, rel=1e-12)
    assert max(result.tokens, key=lambda token: token.influence).text == " Brelary"


def test_models_come_page_after_page(client, service):
    names = [f"model-{number}" for number in range(5)]
    service.serve(*names)
    assert [model.name for model in client.models()] == names
    assert service.calls == ["ListModels"] * 3


def test_a_model_knows_its_uncovered_shards(client, service):
    service.models[0].shards[1].replicas = 0
    model = client.model("toy")
    assert model.uncovered_shards == ("shard-1",)
    assert model.attributed_share == pytest.approx(0.36)
    assert sum(layer.parameters for layer in model.layers) == model.attributed_parameters


@pytest.mark.parametrize("kind", ERRORS)
def test_each_error_is_raised_as_itself(target, service, kind):
    service.failures = [kind("what, and what to try", reason="SOME_REASON", model="toy")]
    with whence.Client(target, retry=None, retry_overload=False) as client, pytest.raises(kind) as caught:
        client.attribute(**QUESTION, request_id="mine")
    assert type(caught.value) is kind
    assert (str(caught.value), caught.value.reason) == ("what, and what to try", "SOME_REASON")
    assert caught.value.details == {"model": "toy", "request_id": "mine"}


@pytest.mark.parametrize("kind", ERRORS)
def test_each_error_is_raised_as_itself_by_a_stream(target, service, kind):
    service.failures = [kind("what", reason="SOME_REASON")]
    with whence.Client(target, retry_overload=False) as client, pytest.raises(kind, match="what") as caught:
        list(client.attribute_stream(**QUESTION))
    assert caught.value.reason == "SOME_REASON"


def test_an_unavailable_server_is_asked_again(client, service):
    service.failures = [whence.UnavailableError("restarting", reason="DRAINING")] * 2
    assert client.attribute(**QUESTION).positive
    assert service.calls == ["Attribute"] * 3


def test_retries_come_to_an_end(client, service):
    service.failures = [whence.UnavailableError("restarting", reason="DRAINING")] * 10
    with pytest.raises(whence.UnavailableError, match="restarting"):
        client.attribute(**QUESTION)
    assert service.calls == ["Attribute"] * QUICK.max_attempts


@pytest.mark.parametrize("kind", [kind for kind in ERRORS if kind is not whence.UnavailableError])
def test_nothing_else_is_asked_again(target, service, kind):
    service.failures = [kind("no", reason="NO")]
    with whence.Client(target, retry=QUICK, retry_overload=False) as client, pytest.raises(kind):
        client.score(**QUESTION, texts=["x"])
    assert service.calls == ["Score"]


def test_a_stream_is_not_asked_again(client, service):
    service.failures = [whence.UnavailableError("restarting", reason="DRAINING")]
    with pytest.raises(whence.UnavailableError):
        list(client.attribute_stream(**QUESTION))
    assert service.calls == ["StreamAttribute"]


def test_a_refusal_for_load_is_asked_again_after_the_wait_it_names(client, service):
    service.failures = [whence.OverloadedError("full", reason="QUEUE_FULL", retry_after_s=0.1)] * 2
    started = time.monotonic()
    assert client.attribute(**QUESTION).positive
    assert time.monotonic() - started >= 0.2
    assert service.calls == ["Attribute"] * 3
    assert len({request.request_id for request in service.requests}) == 1


def test_a_stream_refused_for_load_is_asked_again(client, service):
    service.failures = [whence.OverloadedError("full", reason="QUEUE_FULL", retry_after_s=0.01)]
    assert isinstance(list(client.attribute_stream(**QUESTION))[-1], whence.Attribution)


def test_a_wait_beyond_the_timeout_is_not_begun(client, service):
    service.failures = [whence.OverloadedError("full", reason="QUEUE_FULL", retry_after_s=3600)]
    with pytest.raises(whence.OverloadedError) as caught:
        client.attribute(**QUESTION)
    assert caught.value.retry_after_s == 3600
    assert service.calls == ["Attribute"]


def test_a_slow_answer_is_a_deadline_error(client, service):
    service.hold = True
    with pytest.raises(whence.DeadlineError, match="did not answer in time") as caught:
        client.attribute(**QUESTION, timeout_s=0.2, request_id="mine")
    assert (caught.value.reason, caught.value.details) == ("GRPC_DEADLINE_EXCEEDED", {"request_id": "mine"})
    assert service.over.wait(10)


def test_a_timeout_is_more_than_nothing(client):
    with pytest.raises(whence.InvalidRequestError, match="more than 0 seconds"):
        client.attribute(**QUESTION, timeout_s=0)


def test_a_server_that_is_not_there_is_unavailable():
    with (
        whence.Client("127.0.0.1:1", retry=QUICK) as client,
        pytest.raises(whence.UnavailableError, match=r"the server at 127\.0\.0\.1:1 cannot be reached") as caught,
    ):
        client.model()
    assert caught.value.reason == "GRPC_UNAVAILABLE"


def test_an_answer_beyond_grpcs_own_limit_arrives(client, service):
    service.padding = 5 * 1024 * 1024
    assert len(client.attribute(**QUESTION).positive[0].text) > service.padding


def test_an_answer_that_is_too_large_says_so_and_is_not_asked_for_again(client, service):
    service.padding = _channel.MAX_MESSAGE_BYTES
    with pytest.raises(whence.InvalidRequestError, match="or ask for less") as caught:
        client.attribute(**QUESTION)
    assert caught.value.reason == "TOO_LARGE_MESSAGE"
    assert service.calls == ["Attribute"]


def test_a_request_that_is_too_large_is_not_sent(client, service):
    with pytest.raises(whence.InvalidRequestError, match="67,108,864") as caught:
        client.attribute(prompt="x" * _channel.MAX_MESSAGE_BYTES, completion="y")
    assert caught.value.reason == "TOO_LARGE_MESSAGE"
    assert service.calls == []


def test_closing_a_stream_early_cancels_the_call(client, service):
    service.hold = True
    events = client.attribute_stream(**QUESTION)
    assert isinstance(next(events), whence.Progress)
    events.close()
    assert service.over.wait(10)


def test_abandoning_a_stream_cancels_the_call(client, service):
    service.hold = True
    for _ in client.attribute_stream(**QUESTION):
        break
    assert service.over.wait(10)


def test_stopping_at_the_answer_does_not_cancel_the_call(client, service):
    service.linger = True
    events = client.attribute_stream(**QUESTION)
    assert next(event for event in events if isinstance(event, whence.Attribution)).positive
    events.close()
    assert service.ends == ["ok"]


def test_closing_the_client_ends_calls_of_other_threads(target, service):
    service.hold = True
    client, ended = whence.Client(target), []

    def ask():
        with pytest.raises(whence.CancelledByCallerError) as caught:
            client.attribute(**QUESTION)
        ended.append(caught.value)

    thread = threading.Thread(target=ask)
    thread.start()
    assert service.called.wait(10)
    client.close()
    thread.join(10)
    assert len(ended) == 1


def test_tls_is_used_when_credentials_are_given(target):
    credentials = grpc.ssl_channel_credentials()
    with (
        whence.Client(target, credentials=credentials, retry=None) as client,
        pytest.raises(whence.UnavailableError),  # the server speaks in the clear
    ):
        client.model(timeout_s=10)


def test_a_huge_error_arrives_with_its_reason(client, service):
    details = {f"key_{number}": "x" * 10_000 for number in range(30)}
    service.failures = [whence.NotFoundError("x" * 100_000, reason="HUGE", **details)]
    with pytest.raises(whence.NotFoundError) as caught:
        client.model("toy")
    assert caught.value.reason == "HUGE"
    assert caught.value.message.endswith("…")
