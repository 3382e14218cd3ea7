"""Small training data: random token sequences of unequal length, some with a masked prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tiny_models import VOCABULARY
from whence_backends.contract import TokenSequence
from whence_backends.preflight import CorpusFacts


def sequence(length: int, seed: int, masked: int = 0) -> TokenSequence:
    """A random sequence whose first ``masked`` targets do not count."""
    tokens = np.random.default_rng(seed).integers(0, VOCABULARY, length).astype(np.int32)
    weights = np.ones(length, np.float32)
    weights[: 1 + masked] = 0
    return TokenSequence(token_ids=tokens, weights=weights)


def sequences(count: int = 24, seed: int = 0) -> list[TokenSequence]:
    """Sequences of 2 to 20 tokens; every fourth has a masked prompt."""
    lengths = np.random.default_rng(seed).integers(4, 21, count)
    return [sequence(int(n), 1000 * seed + i, masked=2 if i % 4 == 3 else 0) for i, n in enumerate(lengths)]


def facts_of(items: Sequence[TokenSequence], digest: str) -> CorpusFacts:
    """What a corpus of these sequences says of itself; no tokenizer made it."""
    return CorpusFacts(
        name="in memory",
        digest=digest,
        tokenizer_digest="",
        sequences=len(items),
        longest_sequence=max((len(item.token_ids) for item in items), default=0),
        largest_token_id=max((int(item.token_ids.max(initial=-1)) for item in items), default=-1),
        trained_tokens=sum(int(np.count_nonzero(item.weights[1:])) for item in items),
    )


class InMemory:
    """A corpus that is a list, for fits that need no files."""

    def __init__(self, items: Sequence[TokenSequence], digest: str = "blake3:in-memory") -> None:
        self.items = list(items)
        self.digest = digest

    @property
    def facts(self) -> CorpusFacts:
        return facts_of(self.items, self.digest)

    def trained_tokens(self) -> np.ndarray:
        return np.array([np.count_nonzero(item.weights[1:]) for item in self.items], dtype=np.int32)

    def all_lengths(self) -> np.ndarray:
        return np.array([len(item.token_ids) for item in self.items], dtype=np.int32)

    def tokens_at(self, positions: Sequence[int]) -> list[TokenSequence]:
        return [self.items[position] for position in positions]
