"""BM25, the lexical baseline."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_WORD: Final = re.compile(r"\w+")


def has_bm25() -> bool:
    """Return whether the extra ``bm25`` is installed."""
    return importlib.util.find_spec("bm25s") is not None


def bm25_scores(ref: Sequence[Mapping[str, Any]], train: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    """Return ``scores[reference row][training row]``, of the lower-case words of prompt and response."""
    import bm25s

    documents = [_words(row) for row in train]
    index = bm25s.BM25()
    index.index(documents, show_progress=False)
    known = set().union(*documents)
    queries = [[word for word in _words(row) if word in known] for row in ref]
    return [list(map(float, index.get_scores(words))) if words else [0.0] * len(train) for words in queries]


def _words(row: Mapping[str, Any]) -> list[str]:
    return _WORD.findall(f"{row['prompt']} {row['response']}".lower())
