"""What the index is compared with at the same bytes a sequence: random, PCA and TrackStar's projections, and BM25."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class Projections:
    """LoGra and TrackStar at the same storage: two bytes a value, as many values for each layer on both sides."""

    def __init__(self, layers: Sequence[Any], damped: Sequence[Any], *, bytes_per_sequence: int) -> None:
        import torch

        self.torch = torch
        self.side = int((bytes_per_sequence / 2 / len(layers)) ** 0.5)
        generator = torch.Generator().manual_seed(0)
        shapes = [layer.Lambda.shape for layer in layers]
        self.left = [torch.randn(o, self.side, generator=generator) for o, _ in shapes]
        self.right = [torch.randn(i, self.side, generator=generator) for _, i in shapes]
        self.shapes = shapes
        self.moments: list[Any] = [None] * len(layers)
        self.kinds = ("LoGra, random", "LoGra, PCA", "TrackStar")
        self.asked: dict[str, list[Any]] = {kind: [None] * len(layers) for kind in self.kinds}
        self.stored: dict[str, list[np.ndarray]] = {}

    def observe(self, index: int, G: Any) -> None:
        """Take the second moments of gradients, of rank one as Adafactor keeps them."""
        squares = G.square().mean(0)
        by_row, by_column = squares.mean(1), squares.mean(0)
        self.moments[index] = (by_row[:, None] * by_column[None] / by_row.mean()).clamp_min(1e-20).sqrt()

    def project(self, index: int, rotated_G: Any, G: Any) -> dict[str, Any]:
        (D_out, D_in), side = self.shapes[index], self.side
        square = rotated_G.view(-1, D_out, D_in)
        left, right = self.left[index].T, self.right[index]
        return {
            "LoGra, random": (left @ square @ right).flatten(1),  # rotated or not, the projection is as random
            "LoGra, PCA": square[:, D_out - side :, D_in - side :].flatten(1),
            "TrackStar": (left @ (G / self.moments[index]) @ right).flatten(1),
        }

    def query(self, index: int, rotated_G: Any, G: Any) -> None:
        for kind, values in self.project(index, rotated_G, G).items():
            self.asked[kind][index] = values.numpy().copy()

    def begin(self, queries: int, sequences: int) -> None:
        size = self.side**2
        self.stored = {kind: [np.zeros((sequences, size), np.float32) for _ in self.shapes] for kind in self.kinds}

    def sequence(self, index: int, batch: Any, rotated_G: Any, G: Any) -> None:
        for kind, values in self.project(index, rotated_G, G).items():
            self.stored[kind][index][batch] = values.numpy()

    def scores(self) -> dict[str, np.ndarray]:
        found = {}
        for kind in ("LoGra, random", "LoGra, PCA"):
            found[kind] = sum(
                asked @ np.linalg.solve(damped_gram(stored), half(stored).T)
                for asked, stored in zip(self.asked[kind], self.stored[kind], strict=True)
            )
        asked, stored = (np.concatenate(parts["TrackStar"], axis=1) for parts in (self.asked, self.stored))
        values, vectors = np.linalg.eigh(damped_gram(stored))
        root = (vectors / np.sqrt(values)) @ vectors.T
        asked, stored = unit(asked @ root), half(unit(stored @ root))
        found["TrackStar"] = asked @ stored.T
        return found


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
    import bm25s

    index = bm25s.BM25()
    index.index(bm25s.tokenize(list(texts), show_progress=False), show_progress=False)
    tokens = bm25s.tokenize(list(asked), return_ids=False, show_progress=False)
    return np.stack([index.get_scores(words) for words in tokens])
