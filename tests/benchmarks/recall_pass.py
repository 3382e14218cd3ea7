"""One pass over a corpus: exact influences, the sketches of every setting and the baselines' projections, all at once.

``B`` sequences, ``T`` tokens, ``Q`` queries; G = Σ_t s_t a_tᵀ [D_out, D_in] is a layer's gradient.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recall_baselines import Projections
from recall_evaluation import Scores, Setting
from recall_workload import Workload
from torch import Tensor

from data import InMemory
from whence_backends.batching import plan_batches
from whence_backends.contract import EngineConfig, LayerFold, TokenSequence
from whence_backends.ekfac.batch import collate
from whence_backends.ekfac.factors import Factors
from whence_backends.ekfac.influence import damped
from whence_backends.engines import load_engine
from whence_backends.fit import FitConfig, fit
from whence_backends.index.plan import make_plan

DAMPING_FACTOR = 0.1


@dataclass(frozen=True, kw_only=True)
class PassOptions:
    """How a pass is made. Moments of the baselines are taken over ``moment_sequences``, spread over the corpus."""

    settings: Sequence[Setting]
    batch_tokens: int
    fit_sequences: int
    moment_sequences: int
    baseline_bytes: int


def score_corpus(workload: Workload, factors_folder: Path, options: PassOptions) -> Scores:
    """Fit factors, unless they are there, and score and sketch the whole corpus."""
    factors = fit(
        FitConfig(
            model=workload.model, out=factors_folder, batch_tokens=options.batch_tokens,
            max_sequences=options.fit_sequences, device="cpu",
        ),
        InMemory(workload.corpus),
    )  # fmt: skip
    corpus_pass = CorpusPass(workload, factors, options)
    corpus_pass.observe()
    corpus_pass.ask()
    corpus_pass.scan()
    return corpus_pass.scores


class CorpusPass:
    """The owner of what a pass adds up: ``scores``, the queries' gradients and the baselines' projections."""

    def __init__(self, workload: Workload, factors: Factors, options: PassOptions) -> None:
        self.workload, self.options = workload, options
        engine: Any = load_engine(
            "pytorch", EngineConfig(model=workload.model, factors=factors.folder, device="cpu", precision="float32")
        )
        self.tracked, self.layers = engine._model, engine._factors
        self.damped = [damped(factor, DAMPING_FACTOR) for factor in self.layers]
        Q, N = len(workload.queries), len(workload.corpus)
        self.scores = Scores(exact=np.zeros((Q, N)))
        self.folds = {setting: self._folds(factors, setting) for setting in options.settings}
        self.projections = Projections(self.layers, Q, N, bytes_per_sequence=options.baseline_bytes)
        self.asked: list[Tensor | None] = [None] * len(self.layers)  # rotated and preconditioned [Q, D_out·D_in]

    def _folds(self, factors: Factors, setting: Setting) -> list[Fold]:
        (kept, width), Lambdas = setting, [layer.Lambda.numpy() for layer in self.layers]
        plan, self.scores.segments[setting] = make_plan(
            factors.card.layers, Lambdas, damping_factor=DAMPING_FACTOR, keep=kept, width=width, groups=4, seed=0
        )
        Q, N = self.scores.exact.shape
        self.scores.queries[setting] = np.zeros((Q, width), np.float32)
        self.scores.sequences[setting] = np.zeros((N, width), np.float16)
        return [Fold.of(fold) for fold in plan.folds]

    def observe(self) -> None:
        """Take the moments of gradients that TrackStar normalizes by."""
        corpus, count = self.workload.corpus, self.options.moment_sequences
        sample = corpus[:: max(1, len(corpus) // count)][:count]
        for batch in self._batches(sample):
            self._trace([sample[i] for i in batch], self.projections.observe)

    def ask(self) -> None:
        """Keep the queries' gradients and sketches."""
        queries = self.workload.queries
        sketches = self.scores.queries

        def consume(index: int, a: Tensor, s: Tensor) -> None:
            rotated = self.rotated(index, a, s)
            self.asked[index] = rotated.G / self.damped[index].flatten()
            self.projections.add("queries", index, range(len(queries)), rotated, a, s)
            self._sketch(sketches, index, rotated.G)

        self._trace(queries, consume)

    def scan(self) -> None:
        """Score, sketch and project every sequence."""
        started = reported = time.perf_counter()
        batches = self._batches(self.workload.corpus)
        for number, batch in enumerate(batches, start=1):
            self._scan(batch)
            if (now := time.perf_counter()) - reported > 60:
                reported = now
                print(f"# batch {number} of {len(batches)}, {now - started:.0f} s", flush=True)
        self.scores.baselines.update(self.projections.scores())

    def _scan(self, batch: np.ndarray) -> None:
        sketches = {setting: np.zeros((len(batch), setting[1]), np.float32) for setting in self.folds}

        def consume(index: int, a: Tensor, s: Tensor) -> None:
            rotated = self.rotated(index, a, s)
            self.scores.exact[:, batch] += (self.asked[index] @ rotated.G.T).double().numpy()
            self.projections.add("sequences", index, batch, rotated, a, s)
            self._sketch(sketches, index, rotated.G)

        self._trace([self.workload.corpus[i] for i in batch], consume)
        for setting, values in sketches.items():
            self.scores.sequences[setting][batch] = values

    def rotated(self, index: int, a: Tensor, s: Tensor) -> Rotated:
        left, right = s @ self.layers[index].Q_S, a @ self.layers[index].Q_A
        return Rotated(left=left, right=right, G=(left.transpose(1, 2) @ right).flatten(1))

    def _sketch(self, into: dict[Setting, np.ndarray], index: int, rotated_G: Tensor) -> None:
        for setting, folds in self.folds.items():
            folds[index].add(into[setting], rotated_G)

    def _batches(self, sequences: Sequence[TokenSequence]) -> list[np.ndarray]:
        return plan_batches([len(sequence.token_ids) for sequence in sequences], self.options.batch_tokens)

    def _trace(self, sequences: Sequence[TokenSequence], consume: Callable[[int, Tensor, Tensor], None]) -> None:
        batch = collate(sequences, self.tracked.device)
        self.tracked.trace(batch, self.tracked.data_targets(batch), consume)


@dataclass(frozen=True, kw_only=True)
class Rotated:
    """A layer's gradients in the factors' basis, G [B, D_out·D_in], and their sides [B, T, D_out] and [B, T, D_in]."""

    left: Tensor
    right: Tensor
    G: Tensor


@dataclass(frozen=True, kw_only=True)
class Fold:
    """A layer's fold as tensors; ``weights`` whiten and give signs."""

    start: int
    stop: int
    shape: tuple[int, int]
    indices: Tensor
    weights: Tensor

    @classmethod
    def of(cls, fold: LayerFold) -> Fold:
        rows, width = fold.indices.shape
        return cls(
            start=fold.start,
            stop=fold.start + width,
            shape=(rows, width),
            indices=torch.from_numpy(fold.indices.reshape(1, -1)).long(),
            weights=torch.from_numpy(fold.weights.reshape(-1)),
        )

    def add(self, values: np.ndarray, rotated_G: Tensor) -> None:
        """Add a layer's part to the sketches ``values`` [B, width]."""
        gathered = torch.gather(rotated_G, 1, self.indices.expand(len(rotated_G), -1)) * self.weights
        values[:, self.start : self.stop] += gathered.view(len(rotated_G), *self.shape).sum(1).numpy()
