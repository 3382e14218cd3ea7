"""Norms of training gradients: what a cosine divides by."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from whence_backends.contract import Float64Array
from whence_backends.corpus import Corpus
from whence_backends.engines.pytorch import PytorchEngine

_REPORT_EVERY: Final = 100


def gradient_norms(
    engine: PytorchEngine, corpus: Corpus, progress: Callable[[float], None] = lambda _: None
) -> Float64Array:
    """Return the Frobenius norm of each training sequence's gradient over the tracked layers, float64 [N].

    ‖Σ_t s_t a_tᵀ‖² = Σ_tu (s_t · s_u)(a_t · a_u), which costs T² (D_in + D_out) for a sequence and layer.
    """
    norms = np.zeros(corpus.sequences)
    for position in range(corpus.sequences):
        (gradient,) = engine.query_gradients(corpus.tokens_at([position]))
        norms[position] = math.sqrt(
            sum(
                float(((layer.left @ layer.left.T) * (layer.right @ layer.right.T)).sum(dtype=np.float64))
                for layer in gradient.layers
            )
        )
        if position % _REPORT_EVERY == 0:
            progress(position / corpus.sequences)
    progress(1.0)
    return norms
