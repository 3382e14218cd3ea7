"""BM25 over words, against its formula."""

from __future__ import annotations

import math
import re

import numpy as np

from whence_backends.validation.scores.lexical import bm25

WORDS = ["owl", "ship", "light", "storm", "keeper", "harbour", "night", "sea", "The", "the"]


def texts(count: int) -> list[str]:
    random = np.random.default_rng(count)
    return [" ".join(random.choice(WORDS, random.integers(1, 30))) + ", a." for _ in range(count)]


def by_the_formula(corpus: list[str], query: str) -> list[float]:
    """Return Σ idf · f / (f + k1 (1 - b + b · length / mean)) over the words of two letters and more."""
    documents = [re.findall(r"\b\w\w+\b", text.lower()) for text in corpus]
    mean, scores = sum(map(len, documents)) / len(documents), [0.0] * len(documents)
    for word in re.findall(r"\b\w\w+\b", query.lower()):
        holding = sum(word in document for document in documents)
        idf = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5)) if holding else 0.0
        for number, document in enumerate(documents):
            f = document.count(word)
            scores[number] += idf * f / (f + 1.5 * (0.25 + 0.75 * len(document) / mean))
    return scores


def test_scores_are_those_of_the_formula():
    corpus, queries = texts(60), ["the owl and the lamp", "storm! storm? Night"]
    want = [by_the_formula(corpus, query) for query in queries]
    np.testing.assert_allclose(bm25(iter(corpus), queries), want, rtol=1e-4)


def test_a_query_without_a_shared_word_scores_nothing():
    assert not bm25(texts(5), ["xylophone", "", "a"]).any()


def test_a_corpus_of_one_empty_text_is_scored():
    assert bm25([""], ["owl"]).tolist() == [[0.0]]
    assert bm25(["owl", ""], ["owl"])[0, 1] == 0
