"""Scores by shared tokens: those of a well-kept library, from one pass over the tokens."""

from __future__ import annotations

import bm25s
import numpy as np
import pytest

from whence.errors import CorruptArtefactError
from whence_backends.corpus.lexical import K1, TokenBatch, document_frequencies, match_scores

VOCABULARY = 40


@pytest.fixture(scope="module")
def sequences() -> list[list[int]]:
    rng = np.random.default_rng(0)
    popular = rng.dirichlet(np.full(VOCABULARY - 1, 0.3))  # the last token is in no sequence
    return [rng.choice(VOCABULARY - 1, rng.integers(1, 30), p=popular).tolist() for _ in range(200)]


def batched(sequences: list[list[int]], *cuts: int) -> list[TokenBatch]:
    """Return the sequences in batches, cut where ``cuts`` say."""
    batches = []
    for first, last in zip((0, *cuts), (*cuts, len(sequences)), strict=True):
        rows = sequences[first:last]
        starts = np.cumsum([0, *map(len, rows)]).astype(np.int32)
        batches.append((starts, np.array([token for row in rows for token in row], np.int32)))
    return batches


def test_every_sequence_that_has_a_token_counts_once(sequences: list[list[int]]):
    expected = [sum(token in row for row in sequences) for token in range(VOCABULARY)]
    assert document_frequencies(batched(sequences, 7, 100), VOCABULARY).tolist() == expected


@pytest.mark.parametrize("cuts", [(), (50,), (1, 2, 199)])
def test_scores_are_those_of_bm25s(sequences: list[list[int]], cuts: tuple[int, ...]):
    """Its Lucene variant without a correction for length; it leaves the constant factor k1 + 1 out.

    Broken by: counting a token once for each time the query has it and once more; counts that go on in the next row.
    """
    names = [[str(token) for token in row] for row in sequences]
    oracle = bm25s.BM25(method="lucene", k1=K1, b=0.0)
    oracle.index(names, show_progress=False)
    query = [3, 3, 5, 11, 17, 30]
    expected = oracle.get_scores([str(token) for token in query]) * (K1 + 1)
    tokens, counts = np.unique(query, return_counts=True)
    frequencies = document_frequencies(batched(sequences), VOCABULARY)[tokens]
    weights = counts * np.log((len(sequences) + 1) / (frequencies + 0.5))
    found = match_scores(batched(sequences, *cuts), tokens.astype(np.int32), weights, VOCABULARY)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert len(np.unique(np.round(found, 6))) > 50


def test_tokens_that_nobody_has_count_nothing(sequences: list[list[int]]):
    tokens, weights = np.array([VOCABULARY - 1], np.int32), np.array([9.0])
    assert not match_scores(batched(sequences), tokens, weights, VOCABULARY).any()
    assert not match_scores(batched(sequences), np.zeros(0, np.int32), np.zeros(0), VOCABULARY).any()


def test_it_can_be_stopped_between_batches(sequences: list[list[int]]):
    def stop() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        match_scores(batched(sequences), np.zeros(0, np.int32), np.zeros(0), VOCABULARY, stop)


def test_a_token_that_is_not_in_the_vocabulary_is_never_written_for(sequences: list[list[int]]):
    """The kernels do not look where they write."""
    for work in (
        lambda: document_frequencies(batched(sequences), 10),
        lambda: match_scores(batched(sequences), np.zeros(1, np.int32), np.ones(1), 10),
    ):
        with pytest.raises(CorruptArtefactError, match="the vocabulary 10"):
            work()
