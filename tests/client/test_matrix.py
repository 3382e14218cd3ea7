"""A matrix of scores that no request could have: in blocks, and whole again."""

from __future__ import annotations

import pytest

import whence
from whence import Query
from whence.errors import InvalidRequestError, MismatchError, NotFoundError


@pytest.fixture
def client(target):
    with whence.Client(target, timeout_s=20, retry=None) as client:
        yield client


def queries(count):
    return [Query.text("the", f" owl {n}", query_id=str(n)) for n in range(count)]


def texts(count):
    return [f"{'Brelary ' * (n % 5)}and {n}" for n in range(count)]


def test_it_is_what_single_calls_answer(client, service):
    asked, given = queries(20), texts(150)  # the canned model takes 16 queries and 64 sequences
    matrix = client.score_matrix(asked, texts=given, include_layers=True)
    sizes = [(len(one.queries), len(one.sequences)) for one in service.requests if hasattr(one, "sequences")]
    assert sorted(sizes) == [(4, 22), (4, 64), (4, 64), (16, 22), (16, 64), (16, 64)]
    assert matrix.query_ids == tuple(map(str, range(20)))
    assert [sequence.text for sequence in matrix.sequences] == given
    for row, column in [(0, 0), (3, 63), (15, 64), (16, 149), (19, 0)]:
        alone = client.score(asked[row], texts=[given[column]], include_layers=True)
        assert matrix.influence[row][column] == alone.influence[0][0]
        assert matrix.layer_influence[row][column] == alone.layer_influence[0][0]
    assert {len(row) for row in matrix.influence} == {150}
    assert len(matrix.influence) == len(matrix.log_likelihood) == 20
    assert len(matrix.warnings) == 1


async def test_the_asynchronous_client_has_it_too(target, client):
    async with whence.AsyncClient(target, timeout_s=20) as other:
        found = await other.score_matrix(queries(18), texts=texts(70))
    assert found.influence == client.score_matrix(queries(18), texts=texts(70)).influence


def test_an_error_names_the_place_in_the_whole(client, service):
    failure = InvalidRequestError("sequences[3] is too long", reason="TOO_LONG_SEQUENCE", field="sequences[3].text")
    service.failures_of_blocks = {1: failure}
    with pytest.raises(InvalidRequestError, match=r"sequences\[67\] is too long") as caught:
        client.score_matrix(queries(2), texts=texts(100), concurrency=1)
    assert caught.value.field == "sequences[67].text"


def test_parts_of_two_generations_are_not_passed_off_as_one(client, service):
    service.corpus_digests = iter(["cc" * 32, "dd" * 32])
    with pytest.raises(MismatchError, match="call again"):
        client.score_matrix(queries(2), texts=texts(100), concurrency=1)


def test_nothing_to_score_is_refused_before_any_call(client, service):
    for arguments in ({"texts": []}, {"texts": ["a"], "concurrency": 0}):
        with pytest.raises(InvalidRequestError):
            client.score_matrix(queries(2), **arguments)
    with pytest.raises(InvalidRequestError):
        client.score_matrix([], texts=["a"])
    assert not service.calls
    service.failures.append(NotFoundError("no such model", reason="MODEL_NOT_FOUND"))
    with pytest.raises(NotFoundError):
        client.score_matrix(queries(1), texts=["a"])
