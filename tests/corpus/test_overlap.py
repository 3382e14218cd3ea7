"""Overlap of n-grams: what a search by hand finds, copies wherever they are, and nothing where nothing is shared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.test_lexical import batched
from whence_backends.corpus.overlap import Overlap, find_overlaps

# Few tokens, so that n-grams repeat in a text, in a sequence and across both.
TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=14)
SEQUENCES = st.lists(st.lists(st.integers(0, 2), max_size=14), max_size=6)


def overlaps(sequences, *texts, ngram=3, cuts=()):
    batches = batched(sequences, *cuts)
    return find_overlaps(lambda: batches, [np.array(text, np.int32) for text in texts], ngram)


def by_hand(sequences: list[list[int]], text: list[int], ngram: int) -> Overlap:
    """The definition, with every part of every sequence compared."""
    n = min(ngram, len(text))
    rows = []
    for row, sequence in enumerate(sequences):
        parts = {tuple(sequence[a:b]) for a in range(len(sequence)) for b in range(a + n, len(sequence) + 1)}
        shared = sum(tuple(text[at : at + n]) in parts for at in range(len(text) - n + 1))
        runs = (b - a for a in range(len(text)) for b in range(a + n, len(text) + 1) if tuple(text[a:b]) in parts)
        if shared:
            rows.append((shared, max(runs), -row))
    shared, run, row = max(rows, default=(0, 0, None))
    found = None if row is None else -row
    return Overlap(tokens=len(text), ngram=n, shared_ngrams=shared, longest_run=run, sequences=len(rows), row=found)


@given(sequences=SEQUENCES, texts=st.lists(TOKENS, min_size=1, max_size=4), ngram=st.integers(1, 5), data=st.data())
def test_it_is_what_a_comparison_by_hand_finds_however_texts_and_sequences_are_batched(sequences, texts, ngram, data):
    """Broken by: runs that go on in the next sequence; the earlier of two slots first; a slot counted twice."""
    cut = data.draw(st.integers(0, len(sequences)))
    expected = [by_hand(sequences, text, ngram) for text in texts]
    assert overlaps(sequences, *texts, ngram=ngram, cuts=(cut,)) == expected


@given(text=st.lists(st.integers(0, 40_000), min_size=1, max_size=40), before=TOKENS, after=TOKENS)
def test_a_copy_shares_everything_wherever_it_is_in_a_sequence(text, before, after):
    [found] = overlaps([[], before, [*before, *text, *after], text[:-1]], text, ngram=8)
    assert found.shared_ngrams == len(text) - found.ngram + 1
    assert found.longest_run == len(text)


@given(text=st.lists(st.integers(0, 9), min_size=1, max_size=20), other=st.lists(st.integers(10, 19), max_size=20))
def test_texts_without_a_token_in_common_share_nothing(text, other):
    [found] = overlaps([other], text)
    assert (found.shared_ngrams, found.longest_run, found.sequences, found.row) == (0, 0, 0, None)


def test_the_same_tokens_in_another_order_share_nothing():
    [found] = overlaps([[5, 4, 3, 2, 1]], [1, 2, 3, 4, 5], ngram=2)
    assert found.shared_ngrams == 0


def test_a_copy_that_is_cut_between_two_sequences_is_shared_in_part():
    text = list(range(20))
    [found] = overlaps([text[:12], text[12:]], text, ngram=4)
    assert (found.row, found.shared_ngrams, found.longest_run, found.sequences) == (0, 9, 12, 2)


def test_it_can_be_stopped_between_batches():
    def stop() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        find_overlaps(lambda: batched([[1, 2]]), [np.array([1, 2], np.int32)], 2, stop)


def test_a_copy_in_many_tokens_is_found_whatever_shares_its_hash():
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, 3, 3000).tolist() for _ in range(20)]
    text = sequences[13][700:760]
    [found] = overlaps(sequences, text, ngram=8)
    assert (found.row, found.shared_ngrams, found.longest_run) == (13, 53, 60)
    assert found.sequences > 1
