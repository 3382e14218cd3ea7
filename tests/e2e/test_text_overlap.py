"""The training text nearest to an output: copies are found wherever they are, by real workers of one shard or more."""

from __future__ import annotations

import pytest

from e2e.conftest import Service
from whence import InvalidRequestError, Query


def longest(service: Service) -> list[tuple[str, str]]:
    """The ids and the texts of all sequences of a few words, longest first."""
    corpus = service.artefacts.open_corpus()
    records = [corpus.record(number) for number in range(corpus.sequences)]
    return sorted(((record.sequence_id, record.text) for record in records), key=lambda known: -len(known[1]))


def test_every_sequence_is_found_by_a_copy_of_it_in_a_longer_text(whole: Service):
    known = longest(whole)[:30]
    queries = [Query.text(f"{text[:9]}", text[9:]) for _, text in known]
    answer = whole.client.text_overlap(queries, ngram=8)
    assert [overlap.share for overlap in answer] == [1.0] * 30
    assert [overlap.longest_run for overlap in answer] == [len(text) for _, text in known]
    # A letter is a token here. Another sequence may have the same words, as one that comes first.
    assert all(text in overlap.nearest.text for overlap, (_, text) in zip(answer, known, strict=True))
    assert answer.sequences_searched == whole.artefacts.open_corpus().sequences


def test_a_part_of_a_query_is_shared_in_part_and_nothing_by_nobody(whole: Service):
    _, text = longest(whole)[0]
    [part, nothing] = whole.client.text_overlap([Query.text("xqxqxqxq", text[:20]), Query.text("xq", "qxxqqxqx")])
    assert (part.tokens, part.ngrams, part.shared_ngrams, part.longest_run) == (28, 21, 13, 20)
    assert text[:20] in part.nearest.text
    assert (nothing.share, nothing.longest_run, nothing.sequences, nothing.nearest) == (0, 0, 0, None)


def test_where_the_shards_are_does_not_matter(whole: Service, halves: Service):
    """Broken by: the answer of the worker that comes first."""
    queries = [Query.text(text[:2], text[2:22]) for _, text in longest(whole)[:50:5]] + [Query.text("", "fog fog")]
    expected = whole.client.text_overlap(queries, ngram=5)
    assert len({overlap.sequences for overlap in expected}) > 2
    for client in halves.clients:
        assert client.text_overlap(queries, ngram=5).overlaps == expected.overlaps


def test_a_request_that_cannot_be_answered_is_refused_by_field(whole: Service):
    with pytest.raises(InvalidRequestError) as caught:
        whole.client.text_overlap(Query.text("a", "b"), ngram=65)
    assert (caught.value.reason, caught.value.field) == ("INVALID_NGRAM", "ngram")
    with pytest.raises(InvalidRequestError) as caught:
        whole.client.text_overlap(Query.text("a", "b"), ngram=1)
    assert caught.value.reason == "INVALID_NGRAM"
    with pytest.raises(InvalidRequestError) as caught:
        whole.client.text_overlap([Query.text("a", "b"), Query.tokens([1, 10**6], 1)])
    assert (caught.value.reason, caught.value.field) == ("INVALID_TOKEN_ID", "queries[1].tokens.ids[1]")
