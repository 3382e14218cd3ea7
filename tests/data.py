"""Small training data: random token sequences of unequal length, some with a masked prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models import VOCABULARY
from whence_backends.contract import TokenSequence


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


class InMemory:
    """A corpus that is a list, for fits that need no files."""

    def __init__(self, items: Sequence[TokenSequence], digest: str = "blake3:in-memory") -> None:
        self.items = list(items)
        self.digest = digest

    def all_lengths(self) -> np.ndarray:
        return np.array([len(item.token_ids) for item in self.items], dtype=np.int32)

    def tokens_at(self, positions: Sequence[int]) -> list[TokenSequence]:
        return [self.items[position] for position in positions]
