"""A model that is asked, in the terms of solvers: gradients of sequences as rows, and EK-FAC's inverse of such rows.

Shapes: ``n`` sequences, ``Q`` queries, ``P`` weights of the tracked layers, packed as in
:class:`~whence_backends.validation.pbrf.weights.FreeWeights`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from whence_backends.batching import plan_batches
from whence_backends.contract import TokenSequence
from whence_backends.corpus import Corpus
from whence_backends.ekfac.batch import collate, uniforms
from whence_backends.ekfac.factors import Factors
from whence_backends.ekfac.language_model import TrackedLanguageModel
from whence_backends.ekfac.layer_factors import LayerFactors
from whence_backends.models.shape import ModelShape
from whence_backends.models.source import locate_model, resolve_model
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.models.torch_loading import load_causal_lm
from whence_backends.models.tracked import track
from whence_backends.validation.pbrf.ekfac_inverse import EkfacInverse
from whence_backends.validation.pbrf.weights import FreeWeights
from whence_backends.validation.queries import ValidationQuery, tokenize

BATCH_TOKENS: Final = 2048
# A stream of random numbers for labels that no pass of a fit draws from.
_STREAM: Final = 100


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A model with its factors, the corpus and the queries' tokens."""

    model: TrackedLanguageModel
    weights: FreeWeights
    layers: Sequence[LayerFactors[Tensor]]
    corpus: Corpus
    queries: Sequence[TokenSequence]
    training_set_size: int

    @classmethod
    def open(cls, folder: Path, factors: Factors, corpus: Corpus, queries: Sequence[ValidationQuery]) -> Subject:
        """Load a model, whose factors are ``factors``."""
        loaded = load_causal_lm(resolve_model(str(folder)), "float32", "cpu")
        tracked, shape = track(loaded, factors.card.tracked), ModelShape.of(loaded)
        arrays = [tuple(torch.from_numpy(array) for array in factors.layer(index)) for index in range(len(tracked))]
        return cls(
            model=TrackedLanguageModel(loaded, tracked),
            weights=FreeWeights(tracked),
            layers=[LayerFactors(Q_A=Q_A, Q_S=Q_S, Lambda=L, mean=float(L.mean())) for Q_A, Q_S, L in arrays],
            corpus=corpus,
            queries=tokenize(
                queries,
                Tokenizer.load(locate_model(str(folder), weights=False)),
                corpus,
                max_tokens=shape.max_tokens,
                vocabulary_size=shape.vocabulary_size,
            ),
            training_set_size=factors.card.training_set_size,
        )

    def ekfac(self, damping_factor: float) -> Ekfac:
        """Return EK-FAC's inverse with this damping."""
        return Ekfac(self.weights, self.layers, damping_factor)

    def query_gradients(self) -> Tensor:
        """Return the gradients of the queries' log p, [Q, P]."""
        return gradients(self.model, self.queries)

    def training_gradients(self) -> Tensor:
        """Return the gradients of log p of the training sequences, [n, P]."""
        return gradients(self.model, self.corpus.tokens_at(range(self.corpus.sequences)))

    def pseudo_gradients(self, positions: Sequence[int], draws: int) -> Tensor:
        """Return gradients of labels that the model draws itself, ``draws`` times, [draws · n, P]."""
        sequences = self.corpus.tokens_at(positions)
        return torch.cat([gradients(self.model, sequences, positions, draw) for draw in range(draws)])


class Ekfac:
    """EK-FAC's inverse of rows [Q, P], and λ of each weight [P]."""

    def __init__(self, weights: FreeWeights, layers: Sequence[LayerFactors[Tensor]], damping_factor: float) -> None:
        self._inverse = EkfacInverse(weights, layers, damping_factor)
        sizes = [spec.d_out * spec.d_in for spec in weights.specs]
        self.damping = torch.cat(
            [torch.full((size,), value) for size, value in zip(sizes, self._inverse.damping, strict=True)]
        ).to(weights.start)

    def __call__(self, rows: Tensor) -> Tensor:
        """Return the inverse times each row."""
        return torch.stack([self._inverse(row) for row in rows])


def gradients(
    model: TrackedLanguageModel, sequences: Sequence[TokenSequence], positions: Sequence[int] = (), draw: int = -1
) -> Tensor:
    """Return Σ_t s_t a_tᵀ of each sequence, [n, P]: of the data's labels, or of the ``draw``-th labels of the model."""
    sizes = [spec.d_out * spec.d_in for spec in model.specs]
    ends = np.cumsum(sizes).tolist()
    rows = torch.zeros(len(sequences), ends[-1], dtype=model.dtype)
    for places in plan_batches([len(sequence.token_ids) for sequence in sequences], BATCH_TOKENS):
        batch = collate([sequences[place] for place in places], model.device)
        targets = model.data_targets(batch)
        if draw >= 0:
            drawn = uniforms(0, _STREAM + draw, [positions[place] for place in places], batch.inputs.shape[1])
            targets = model.sampled_targets(batch, drawn)

        def keep(index: int, a: Tensor, s: Tensor, places: Sequence[int] = places) -> None:
            columns = slice(ends[index] - sizes[index], ends[index])
            rows[list(places), columns] = (s.transpose(1, 2) @ a).reshape(len(places), -1)

        model.trace(batch, targets, keep)
    return rows
