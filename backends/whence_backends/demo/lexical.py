"""The baseline that an attribution must beat: BM25 over the same training sequences."""

from __future__ import annotations

from collections.abc import Sequence

from whence_backends.corpus import Corpus
from whence_backends.demo.subjects import Question


def bm25_rankings(corpus: Corpus, questions: Sequence[Question], depth: int) -> list[list[str]]:
    """Return, for each question, the document ids of the ``depth`` best sequences, best first."""
    import bm25s

    records = [corpus.record(position) for position in range(corpus.sequences)]
    index = bm25s.BM25()
    index.index(bm25s.tokenize([record.text for record in records], show_progress=False), show_progress=False)
    asked = bm25s.tokenize([question.prompt + question.completion for question in questions], show_progress=False)
    rankings, _ = index.retrieve(asked, k=min(depth, len(records)), show_progress=False, n_threads=1)
    return [[records[int(row)].document_id for row in ranking] for ranking in rankings]
