"""Any number of queries: in batches, in order, and no bad one takes others with it."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from dataclasses import replace

import pytest

import whence
from client.conftest import BREAKING, REFUSED
from whence import FailedQuery, Query
from whence._many import Batch, batches
from whence.errors import InternalError, InvalidRequestError, UnavailableError


@pytest.fixture
def client(target):
    with whence.Client(target, timeout_s=20, retry=None) as client:
        yield client


def asked(count, **completions):
    """Return queries with the numbers as ids; ``_3="…"`` is another completion for that number."""
    return [Query.text("the", completions.get(f"_{n}", " owl"), query_id=str(n)) for n in range(count)]


def ids(answers):
    return [one.query.query_id if isinstance(one, FailedQuery) else one.query_id for one in answers]


def failed(answers):
    return {one.query.query_id: one.error.reason for one in answers if isinstance(one, FailedQuery)}


def sizes(service):
    return [len(request.queries) for request in service.requests if hasattr(request, "queries")]


def test_all_are_answered_in_order_in_batches_of_what_the_model_takes(client, service):
    answers = list(client.attribute_many(asked(50), top_k=1))
    assert ids(answers) == [str(n) for n in range(50)]
    assert sorted(sizes(service)) == [2, 16, 16, 16]  # the canned model's max_queries is 16
    assert all(len(answer.positive) == 1 for answer in answers)


async def test_the_asynchronous_client_answers_the_same(target, client):
    queries = asked(7, _2=REFUSED)
    async with whence.AsyncClient(target, timeout_s=20) as other:
        found = [one async for one in other.attribute_many(queries, batch_size=3)]
    again = list(client.attribute_many(queries, batch_size=3))
    assert ids(found) == ids(again)
    assert failed(found) == failed(again) == {"2": "EMPTY_COMPLETION"}


@pytest.mark.parametrize("completion", [REFUSED, BREAKING, "half a pair: \ud800"])
@pytest.mark.parametrize("place", [0, 4, 9])
def test_a_bad_query_fails_alone(client, place, completion):
    answers = list(client.attribute_many(asked(10, **{f"_{place}": completion}), batch_size=5))
    assert ids(answers) == [str(n) for n in range(10)]
    assert list(failed(answers)) == [str(place)]


def test_several_bad_queries_of_a_batch_fail_by_themselves(client):
    answers = list(client.attribute_many(asked(6, _0=REFUSED, _3=BREAKING, _5=REFUSED), batch_size=6))
    assert failed(answers) == {"0": "EMPTY_COMPLETION", "3": "INTERNAL", "5": "EMPTY_COMPLETION"}


def test_an_error_of_every_query_is_raised(client):
    with pytest.raises(InternalError):
        list(client.attribute_many(asked(3, _0=BREAKING, _1=BREAKING, _2=BREAKING)))


def test_what_is_wrong_with_the_options_is_raised_before_any_call(client, service):
    with pytest.raises(InvalidRequestError, match="top_k"):
        client.attribute_many(asked(3), top_k=0)
    with pytest.raises(InvalidRequestError, match="batch_size"):
        client.attribute_many(asked(3), batch_size=0)
    with pytest.raises(TypeError, match="unexpected"):
        client.attribute_many(asked(3), nothing=1)
    assert not service.calls


def test_what_was_answered_before_a_failure_is_yielded_first(client, service):
    found = []

    def ask():
        for answer in client.attribute_many(asked(9), batch_size=3, concurrency=1):
            found.append(answer)
            if len(found) == 3:
                service.failures.append(UnavailableError("gone", reason="NO_WORKERS"))

    with pytest.raises(UnavailableError):
        ask()
    assert ids(found) == [str(n) for n in range(3)]


def test_queries_are_read_as_they_are_needed(client):
    read = itertools.count()
    queries = (Query.text("the", " owl", query_id=str(next(read))) for _ in range(1000))
    answers = client.attribute_many(queries, batch_size=4, concurrency=2)
    for _ in range(4):
        next(answers)
    answers.close()
    assert next(read) < 20


def test_batches_are_under_way_at_a_time(target, service):
    service.together = threading.Barrier(3, timeout=10)  # broken unless three calls are there at once
    with whence.Client(target, timeout_s=20) as client:
        assert len(list(client.attribute_many(asked(9), batch_size=3, concurrency=3))) == 9


def test_closing_the_client_ends_what_is_under_way(target, service):
    service.hold = True
    client = whence.Client(target, timeout_s=60)
    answers = client.attribute_many(asked(9), batch_size=3)

    def ask():
        with contextlib.suppress(whence.WhenceError, ValueError):
            next(answers)

    asking = threading.Thread(target=ask)
    asking.start()
    service.called.wait(10)
    time.sleep(0.2)
    client.close()
    asking.join(10)
    assert not asking.is_alive()


def test_a_batch_is_no_larger_than_a_message():
    large = Query.text("x" * 20_000_000, " y")
    assert [len(batch) for batch in batches([large, large, large], 64)] == [1, 1, 1]
    assert [len(batch) for batch in batches(asked(10), 4)] == [4, 4, 2]


def test_warnings_of_one_query_are_not_those_of_others(client):
    queries = asked(2)
    warned = whence.AnswerWarning(code="LOST_TURNS", message="queries[1] lost turns")
    general = whence.AnswerWarning(code="SHORT_CORPUS", message="the corpus is small")
    answer = client.attribute(queries[0])
    batch = Batch(queries)
    batch.answered([replace(answer, warnings=(warned, general))] * 2)
    first, second = batch.answers
    assert first.warnings == (general,)
    assert [one.message for one in second.warnings] == ["the query lost turns", "the corpus is small"]
