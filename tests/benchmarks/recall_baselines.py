"""What the index is compared with at the same bytes a sequence: random, PCA and TrackStar's projections, and BM25."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

LOGRA = ("LoGra, random", "LoGra, PCA")
TRACKSTAR = "TrackStar"
Side = Literal["queries", "sequences"]


class Projections:
    """LoGra and TrackStar at the same storage: two bytes a value, as many values for each layer on both sides.

    Gradients are never formed: each side of their products of tokens is projected.
    """

    def __init__(self, layers: Sequence[Any], queries: int, sequences: int, *, bytes_per_sequence: int) -> None:
        self.side = int((bytes_per_sequence / 2 / len(layers)) ** 0.5)
        generator = torch.Generator().manual_seed(0)
        shapes = [layer.Lambda.shape for layer in layers]
        self.left = [torch.randn(D_out, self.side, generator=generator) for D_out, _ in shapes]
        self.right = [torch.randn(D_in, self.side, generator=generator) for _, D_in in shapes]
        self.by_row = [torch.zeros(D_out) for D_out, _ in shapes]
        self.by_column = [torch.zeros(D_in) for _, D_in in shapes]
        self.values: dict[Side, dict[str, list[np.ndarray]]] = {
            kind: {name: [np.zeros((count, self.side**2), np.float32) for _ in layers] for name in (*LOGRA, TRACKSTAR)}
            for kind, count in (("queries", queries), ("sequences", sequences))
        }

    @property
    def bytes_per_sequence(self) -> int:
        """What is stored of a sequence, which is at most what was asked for."""
        return 2 * self.side**2 * len(self.left)

    def observe(self, index: int, a: Tensor, s: Tensor) -> None:
        """Add to the second moments of gradients, of rank one as Adafactor keeps them."""
        squares = (s.transpose(1, 2) @ a).square_().sum(0)
        self.by_row[index] += squares.mean(1)
        self.by_column[index] += squares.mean(0)

    def add(self, kind: Side, index: int, positions: Any, rotated: Any, a: Tensor, s: Tensor) -> None:
        """Project one layer's gradients, in the factors' basis (``rotated``) and as traced, into these positions."""
        left, right, side = self.left[index], self.right[index], self.side
        # Rotated or not, a random projection is as random.
        projected = {
            LOGRA[0]: (rotated.left @ left, rotated.right @ right),
            LOGRA[1]: (rotated.left[..., -side:], rotated.right[..., -side:]),
            TRACKSTAR: (s @ normalized(left, self.by_row[index]), a @ normalized(right, self.by_column[index])),
        }
        for name, (lefts, rights) in projected.items():
            self.values[kind][name][index][positions] = (lefts.transpose(1, 2) @ rights).flatten(1).numpy()

    def scores(self) -> dict[str, np.ndarray]:
        """Return each baseline's scores [Q, N]."""
        asked, stored = self.values["queries"], self.values["sequences"]
        found = {
            name: sum(
                queries @ np.linalg.solve(damped_gram(sequences), half(sequences).T)
                for queries, sequences in zip(asked[name], stored[name], strict=True)
            )
            for name in LOGRA
        }
        queries, sequences = (np.concatenate(values[TRACKSTAR], axis=1) for values in (asked, stored))
        eigenvalues, vectors = np.linalg.eigh(damped_gram(sequences))
        root = (vectors / np.sqrt(eigenvalues)) @ vectors.T
        found[TRACKSTAR] = unit(queries @ root) @ half(unit(sequences @ root)).T
        return found


def normalized(projection: Tensor, squares: Tensor) -> Tensor:
    """Return a projection of one side that first divides by this side's part of the root of the second moments.

    The moments' rank-one estimate is rows · columns / mean, and both sides have the same mean.
    """
    mean = squares.mean()
    return projection / (squares.clamp_min(1e-8 * mean) / mean.sqrt()).sqrt()[:, None]


def damped_gram(values: np.ndarray) -> np.ndarray:
    gram = values.T.astype(np.float64) @ values / len(values)
    return gram + 0.1 * np.trace(gram) / len(gram) * np.eye(len(gram))


def half(values: np.ndarray) -> np.ndarray:
    """What sixteen bits keep; scaled, so that nothing overflows."""
    scale = np.abs(values).max() or 1.0
    return (values / scale).astype(np.float16).astype(np.float64) * scale


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def bm25(texts: Sequence[str], asked: Sequence[str]) -> np.ndarray:
    """Return the scores [Q, N] of texts, word by word."""
    import bm25s

    index = bm25s.BM25()
    index.index(bm25s.tokenize(list(texts), show_progress=False), show_progress=False)
    tokens = bm25s.tokenize(list(asked), return_ids=False, show_progress=False)
    return np.stack([index.get_scores(words) for words in tokens])
