"""BM25 over words, against bm25s."""

from __future__ import annotations

import bm25s
import numpy as np

from whence_backends.validation.checks.lexical import bm25

WORDS = ["owl", "ship", "light", "storm", "keeper", "harbour", "night", "sea", "The", "the"]


def texts(count: int) -> list[str]:
    random = np.random.default_rng(count)
    return [" ".join(random.choice(WORDS, random.integers(1, 30))) + ", a." for _ in range(count)]


def test_scores_are_those_of_bm25s():
    corpus, queries = texts(60), ["the owl and the lamp", "storm! storm? Night"]
    index = bm25s.BM25(method="lucene")
    index.index(bm25s.tokenize(corpus, stopwords=None, show_progress=False), show_progress=False)
    asked = [bm25s.tokenize(query, stopwords=None, show_progress=False, return_ids=False)[0] for query in queries]
    want = np.stack([index.get_scores(tokens) for tokens in asked])
    np.testing.assert_allclose(bm25(corpus, queries), want, rtol=1e-5)


def test_a_query_without_a_shared_word_scores_nothing():
    assert not bm25(texts(5), ["xylophone", "", "a"]).any()


def test_a_corpus_of_one_empty_text_is_scored():
    assert bm25([""], ["owl"]).tolist() == [[0.0]]
