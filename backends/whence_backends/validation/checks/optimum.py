"""Check: is the model where the theory puts it, at an optimum of its training loss?

At an optimum the gradients of all training sequences cancel, and so do their influences on any query (Grosse et al.
2023, arXiv 2308.03296, §2.1). A model that was trained with weight decay, or stopped early, is not at one: then the
influences are those of the proximal Bregman response (Bae et al. 2022, arXiv 2209.05364), not of retraining.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from whence_backends.batching import apart, plan_batches
from whence_backends.contract import Float64Array
from whence_backends.ekfac.batch import collate
from whence_backends.ekfac.language_model import TrackedLanguageModel
from whence_backends.validation.checks.config import CheckProgress, CheckStage
from whence_backends.validation.checks.inputs import Inputs
from whence_backends.validation.checks.sample import Positions, Sample


@dataclass(frozen=True, kw_only=True)
class Optimum:
    """How far gradients and influences of ``sequences`` random sequences cancel.

    ``gradient`` is the norm of their mean gradient over the mean of their norms, and ``by_chance`` the figure that so
    small a sample would have at an optimum of the whole corpus. ``influence`` is |Σ I| / Σ |I| over the random
    sequences that were scanned, the median over queries: 0 where influences cancel, 1 where all have the same sign.
    """

    sequences: int
    gradient: float
    by_chance: float
    influence: float


def optimum(inputs: Inputs, sample: Sample, served: Float64Array, progress: Callable[[CheckProgress], None]) -> Optimum:
    """Return the check for the served scores [Q, n] of the sample."""
    positions = sample.first(inputs.config.optimum_sequences)
    with inputs.engine(inputs.card.precision) as engine:
        mean, norms = _gradients(inputs, engine.model, positions, progress)
    random = served[:, sample.columns(len(sample.order))]
    return Optimum(
        sequences=len(positions),
        gradient=mean / float(norms.mean()) if norms.any() else 0.0,
        by_chance=_by_chance(mean, norms, inputs.corpus.sequences),
        influence=float(np.median(np.abs(random.sum(axis=1)) / np.maximum(np.abs(random).sum(axis=1), 1e-300))),
    )


def _gradients(
    inputs: Inputs, model: TrackedLanguageModel, positions: Positions, progress: Callable[[CheckProgress], None]
) -> tuple[float, Float64Array]:
    """Return the norm of the mean gradient over the tracked layers, and each sequence's norm [n]."""
    wide = torch.float64 if model.dtype == torch.float64 else torch.float32
    sums = [torch.zeros(spec.d_out, spec.d_in, dtype=wide, device=model.device) for spec in model.specs]
    squares, lengths = np.zeros(len(positions)), inputs.corpus.all_lengths()[positions]
    batches = [
        part[batch]
        for part in apart(lengths, model.rotary_bounds)
        for batch in plan_batches(lengths[part], inputs.config.batch_tokens)
    ]
    done = 0
    for rows in batches:
        progress(CheckProgress(stage=CheckStage.OPTIMUM, done=done, total=len(positions)))
        batch = collate(inputs.corpus.tokens_at(positions[rows].tolist()), model.device)

        def add(index: int, a: Tensor, s: Tensor, rows: Positions = rows) -> None:
            a, s = a.to(wide), s.to(wide)
            sums[index] += s.flatten(0, 1).T @ a.flatten(0, 1)
            # ‖Σ_t s_t a_tᵀ‖² without forming it.
            squares[rows] += ((s @ s.mT) * (a @ a.mT)).sum(dim=(1, 2)).double().cpu().numpy()

        model.trace(batch, model.data_targets(batch), add)
        done += len(rows)
    progress(CheckProgress(stage=CheckStage.OPTIMUM, done=done, total=len(positions)))
    total = sum(float(layer.square().sum(dtype=torch.float64)) for layer in sums)
    return total**0.5 / len(positions), np.sqrt(squares)


def _by_chance(mean: float, norms: Float64Array, sequences: int) -> float:
    """Return the expected ratio at an optimum: the mean of n of N gradients has the variance σ² (1 - n / N) / n."""
    n = len(norms)
    if n < 2 or not norms.any():
        return 0.0
    variance = max(0.0, float((norms**2).mean()) - mean**2) * n / (n - 1)
    return float((variance * max(0.0, 1 - n / sequences) / n) ** 0.5 / norms.mean())
