"""What the recall benchmark asks of what: a model, the sequences of a corpus, and queries that were held out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from realtext import HELD_OUT, prepare

from whence_backends.contract import TokenSequence
from whence_backends.models import Tokenizer, resolve_model

COMPLETION = 32  # the tokens at the end of a query that are asked about
SMOLLM2_TOKENS = 64


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A model, by folder or name; sequences and queries, and their texts."""

    model: str
    corpus: list[TokenSequence]
    queries: list[TokenSequence]
    texts: list[str]
    query_texts: list[str]


def tiny(folder: Path, sequences: int, queries: int) -> Workload:
    """Return the small model that was trained on the text, with the text's first sequences."""
    text = prepare(folder, sequences=20_000)
    return Workload(
        model=str(text.model),
        corpus=_corpus(text.corpus[:sequences]),
        queries=_queries(text.held_out[:queries]),
        texts=text.texts[:sequences],
        query_texts=text.held_out_texts[:queries],
    )


def smollm2(folder: Path, sequences: int, queries: int) -> Workload:
    """Return the real model, with shorter sequences in its own tokens from all over the same text."""
    text = prepare(folder, sequences=20_000)
    tokenizer = Tokenizer.load(resolve_model("smollm2"))
    rows = _smollm2_rows(tokenizer, text.texts, sequences + HELD_OUT)
    # Held out at random, as by realtext.
    order = np.random.default_rng(0).permutation(len(rows))
    asked, kept = rows[np.sort(order[:HELD_OUT])[:queries]], rows[np.sort(order[HELD_OUT:])]
    return Workload(
        model="smollm2",
        corpus=_corpus(kept),
        queries=_queries(asked),
        texts=[tokenizer.decode(row) for row in kept],
        query_texts=[tokenizer.decode(row) for row in asked],
    )


def _smollm2_rows(tokenizer: Tokenizer, texts: Sequence[str], count: int) -> np.ndarray:
    """Return rows of tokens from texts that are spread evenly; neighbouring rows are seldom of the same file."""
    ids: list[int] = []
    for text in texts[:: max(1, len(texts) // (2 * count))]:
        ids.extend(tokenizer.encode(text)[0])
    length = SMOLLM2_TOKENS
    whole = np.array(ids[: len(ids) // length * length], np.int32).reshape(-1, length)
    assert len(whole) >= count, f"{len(whole)} sequences for {count}"
    return whole[np.linspace(0, len(whole) - 1, count).round().astype(int)]


def _corpus(rows: np.ndarray) -> list[TokenSequence]:
    weights = np.ones(rows.shape[1], np.float32)
    weights[0] = 0
    return [TokenSequence(token_ids=ids, weights=weights) for ids in rows]


def _queries(rows: np.ndarray) -> list[TokenSequence]:
    weights = np.zeros(rows.shape[1], np.float32)
    weights[-COMPLETION:] = 1
    return [TokenSequence(token_ids=ids, weights=weights) for ids in rows]
