"""What the tokens of a query weigh: by how rare they are in the whole corpus, whatever its shards."""

from __future__ import annotations

import math

import pytest

from whence.errors import InternalError
from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.frontend.search.token_candidates import weigh


def counted(sequences: int, *queries: tuple[list[int], list[int], list[int]]) -> messages.CountTokensResponse:
    return messages.CountTokensResponse(
        queries=[messages.TokenCounts(tokens=t, counts=c, sequences=s) for t, c, s in queries],
        sequences_searched=sequences,
    )


def test_a_token_weighs_by_how_many_sequences_of_all_shards_have_it():
    """Broken by: a mean of the shards' own weights."""
    parts = [counted(10, ([3, 7], [1, 2], [10, 0])), counted(30, ([3, 7], [1, 2], [20, 1]))]
    [found] = weigh(parts)
    assert found.tokens == [3, 7]
    assert found.weights == pytest.approx([math.log(41 / 30.5), 2 * math.log(41 / 1.5)])
    assert list(weigh(parts[::-1])[0].weights) == list(found.weights)


def test_each_query_has_its_own_tokens():
    first, second = weigh([counted(5, ([1], [1], [2]), ([2, 4], [1, 1], [0, 5]))])
    assert (list(first.tokens), list(second.tokens)) == ([1], [2, 4])


def test_workers_that_read_a_query_differently_are_found_out():
    with pytest.raises(InternalError, match="same tokenizer") as caught:
        weigh([counted(5, ([1], [1], [2])), counted(5, ([2], [1], [2]))])
    assert caught.value.reason == "TOKENS_MISMATCH"
