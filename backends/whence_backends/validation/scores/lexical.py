"""BM25 over words: the ranking that needs no gradients, which an attribution must beat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import bm25s
import numpy as np

from whence_backends.contract import Float64Array


def bm25(texts: Iterable[str], queries: Sequence[str]) -> Float64Array:
    """Return the scores of texts for queries, float64 [Q, N], in Lucene's form, without stop words (bm25s).

    Σ over the words w of a query of idf(w) · f / (f + k1 (1 - b + b · length / mean length)), with f the number of
    times that the text has w, k1 = 1.5 and b = 0.75 (Robertson & Zaragoza 2009).
    """
    tokens = bm25s.tokenize(list(texts), stopwords=None, show_progress=False)
    if not tokens.vocab or not any(tokens.ids):  # of nothing, bm25s makes no index
        return np.zeros((len(queries), len(tokens.ids)))
    index = bm25s.BM25(method="lucene")
    index.index(tokens, show_progress=False)
    asked = bm25s.tokenize(list(queries), stopwords=None, show_progress=False, return_ids=False)
    scores = np.zeros((len(queries), len(tokens.ids)))
    for row, words in enumerate(asked):
        if known := [word for word in words if word in index.vocab_dict]:
            scores[row] = index.get_scores(known)
    return scores
