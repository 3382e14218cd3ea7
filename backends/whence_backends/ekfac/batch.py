"""Batches of token sequences as tensors, and the random numbers for sampled labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from whence_backends.batching import pad
from whence_backends.contract import TokenSequence


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenBatch:
    """Sequences padded on the right, as inputs and the targets one step ahead.

    ``inputs`` int64 [B, T], ``labels`` int64 [B, T], ``weights`` float64 [B, T] of the labels (0 at padding), where T
    is the longest sequence's length less one: the last token is only ever a target.

    Padding needs no attention mask: attention is causal and padding comes last, so no real token attends to it.
    """

    inputs: Tensor
    labels: Tensor
    weights: Tensor

    @property
    def valid(self) -> Tensor:
        """The positions whose target counts, bool [B, T]: the rows that statistics are taken over."""
        return self.weights != 0


def collate(sequences: Sequence[TokenSequence], device: torch.device) -> TokenBatch:
    """Return the batch of ``sequences``; a sequence of a single token becomes padding."""
    token_ids, weights = pad(sequences)
    return TokenBatch(
        inputs=torch.from_numpy(token_ids[:, :-1]).to(device),
        labels=torch.from_numpy(token_ids[:, 1:]).to(device),
        weights=torch.from_numpy(weights[:, 1:]).to(device),
    )


def uniforms(seed: int, stream: int, positions: Sequence[int], length: int) -> Tensor:
    """Return the random numbers [B, T] for drawing the labels of the sequences at ``positions`` of the corpus.

    They are a function of (seed, stream, position, token) alone: a sequence's labels do not depend on its batch, on
    resumption, or on the distribution of work.
    """
    rows = [
        np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, 0, position])).random(length)
        for position in positions
    ]
    return torch.from_numpy(np.stack(rows))
