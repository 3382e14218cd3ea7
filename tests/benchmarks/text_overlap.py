"""How fast is the pass over the corpus's tokens that finds the nearest training text?

Tokens are drawn with frequencies as those of words (Zipf), in sequences of 200. One text is looked for, and 32 in one
pass; each was cut out of the corpus, and has to be found there. Beside it, the pass that counts shared tokens for BM25,
which reads the same tokens once a query.

Run: `python tests/benchmarks/text_overlap.py [--tokens 20000000]`
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Final

import numpy as np
from measure import print_figures, print_machine

from whence_backends.corpus.lexical import match_scores
from whence_backends.corpus.overlap import find_overlaps

VOCABULARY: Final = 50_000
SEQUENCE, TEXT = 200, 100
REPEATS: Final = 3


def seconds(work: Callable[[], object]) -> float:
    """Return the shortest of three times, after one that compiles."""
    work()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    """Print millions of tokens a second, for one text, for 32 texts and for BM25."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=20_000_000)
    count = parser.parse_args().tokens // SEQUENCE * SEQUENCE
    print_machine()
    rng = np.random.default_rng(0)
    tokens = (rng.zipf(1.3, count) % VOCABULARY).astype(np.int32)
    starts = np.arange(0, count + 1, SEQUENCE, dtype=np.int32)
    rows = rng.choice(count // SEQUENCE, 32, replace=False)
    texts = [tokens[row * SEQUENCE + 50 :][:TEXT].copy() for row in rows]
    batches = [(starts, tokens)]
    for overlap in find_overlaps(lambda: batches, texts, 8):
        assert overlap.longest_run == TEXT
    known = np.unique(texts[0]).astype(np.int32)
    weights = np.ones(len(known))
    millions = count / 1e6
    print_figures(
        one_text=millions / seconds(lambda: find_overlaps(lambda: batches, texts[:1], 8)),
        texts_32=millions / seconds(lambda: find_overlaps(lambda: batches, texts, 8)),
        texts_32_ngram_3=millions / seconds(lambda: find_overlaps(lambda: batches, texts, 3)),
        bm25_one_query=millions / seconds(lambda: match_scores(batches, known, weights, VOCABULARY)),
    )


if __name__ == "__main__":
    main()
