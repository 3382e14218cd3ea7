"""BM25 over words: the ranking that needs no gradients, which an attribution must beat."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from whence_backends.contract import Float64Array

# Those of Lucene and of bm25s.
K1: Final = 1.5
B: Final = 0.75
_WORD: Final = re.compile(r"\b\w\w+\b")


def bm25(texts: Iterable[str], queries: Sequence[str]) -> Float64Array:
    """Return the scores of texts for queries, float64 [Q, N], by one pass over the texts.

    Σ over the words w of a query of idf(w) · f / (f + k1 (1 - b + b · length / mean length)), with f the number of
    times that the text has w and idf(w) = log(1 + (N - n(w) + 1/2) / (n(w) + 1/2)) for the n(w) texts that have it
    (Robertson & Zaragoza 2009, in Lucene's form).
    """
    asked = [Counter(_words(query)) for query in queries]
    places = {word: place for place, word in enumerate(dict.fromkeys(word for words in asked for word in words))}
    lengths, rows, words, counts = array("q"), array("q"), array("q"), array("d")
    for row, text in enumerate(texts):
        occurring = _words(text)
        lengths.append(len(occurring))
        for word, count in Counter(word for word in occurring if word in places).items():
            rows.append(row)
            words.append(places[word])
            counts.append(count)
    size, f = np.array(lengths, np.float64), np.array(counts)
    of_row, of_word = np.array(rows, np.int64), np.array(words, np.int64)
    holding = np.bincount(of_word, minlength=len(places))
    idf = np.log1p((len(size) - holding + 0.5) / (holding + 0.5))
    relative = size / max(float(size.mean()), 1.0) if len(size) else size
    parts = idf[of_word] * f / (f + K1 * (1 - B + B * relative[of_row]))
    scores = np.zeros((len(queries), len(size)))
    for query, wanted in enumerate(asked):
        times = np.zeros(len(places))
        times[[places[word] for word in wanted]] = list(wanted.values())
        scores[query] = np.bincount(of_row, weights=parts * times[of_word], minlength=len(size))
    return scores


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
