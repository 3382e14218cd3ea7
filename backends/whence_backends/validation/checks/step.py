"""Check: is an influence the effect of its own step?

The influence of z on f says, to first order, how f changes when the weights go from θ to θ + V_z / N, where V_z is the
preconditioned gradient of log p(z) and N the size of the training set (Koh & Liang 2017, arXiv 1703.04730, §2). Here
the weights go there, and f is measured. This says how far the first order carries, and whether an influence belongs to
the step that its sequence makes: an error in preconditioning one side of ⟨V_q, G_z⟩ shows. It does not say that
training would take this step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from whence_backends.contract import Float64Array, TokenSequence
from whence_backends.engines.pytorch import PytorchEngine
from whence_backends.validation.checks.agreement import TOP, best
from whence_backends.validation.checks.config import CheckProgress, CheckStage
from whence_backends.validation.checks.inputs import Inputs
from whence_backends.validation.checks.moved import MovableWeights
from whence_backends.validation.checks.sample import Sample
from whence_backends.validation.likelihoods import log_likelihoods

# In nats. Below the first, what is measured is rounding of float32.
_BOUNDS: Final = (1e-3, 0.1, 1.0, float("inf"))


@dataclass(frozen=True, kw_only=True)
class Band:
    """The pairs of a step and a query whose predicted size, in nats, is from ``at_least`` to less than ``below``.

    ``slope`` is that of measured on predicted, through the origin; ``right_signs`` the share of pairs whose signs are
    equal. Both are ``None`` where there is no pair, ``below`` where there is no bound.
    """

    at_least: float
    below: float | None
    pairs: int
    slope: float | None
    right_signs: float | None


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What ``steps`` along the first hits of queries did, each measured on all queries.

    ``own_raised`` is the share of steps that raise the log-likelihood of their own sequence, as each must.
    ``promising_hits`` of the ``hits``, the first ones of each query, promise to raise its probability above 1;
    ``promising_queries`` are those whose ten first hits do together.
    """

    steps: int
    bands: tuple[Band, ...]
    right_signs: float | None
    own_raised: float
    hits: int
    promising_hits: int
    promising_queries: int


def steps(inputs: Inputs, sample: Sample, served: Float64Array, progress: Callable[[CheckProgress], None]) -> Steps:
    """Return the check for the served scores [Q, n] of the sample. The model is loaded in float32, or wider."""
    influence = served / inputs.card.training_set_size
    tops = [best(row, inputs.config.step_hits) for row in influence]
    columns = np.unique(np.concatenate(tops))
    sequences = inputs.corpus.tokens_at(sample.scanned[columns].tolist())
    queries = [query.tokens for query in inputs.queries]
    with inputs.engine("float64" if inputs.card.precision == "float64" else "float32") as engine:
        before = log_likelihoods(engine.model.model, queries)
        taken = _Taken(engine, inputs, queries, before)
        rows = [taken.step(z, number, len(sequences), progress) for number, z in enumerate(sequences)]
    progress(CheckProgress(stage=CheckStage.STEP, done=len(sequences), total=len(sequences)))
    measured, predicted = np.stack([effect for effect, _ in rows]), influence[:, columns].T  # [steps, Q]
    first = [row[top] for row, top in zip(influence, tops, strict=True)]
    ten = [float(np.maximum(row[best(row, TOP)], 0).sum()) for row in influence]
    counted = np.abs(predicted) >= _BOUNDS[0]
    return Steps(
        steps=len(sequences),
        bands=tuple(_band(predicted, measured, low, high) for low, high in pairwise(_BOUNDS)),
        right_signs=_right(predicted[counted], measured[counted]),
        own_raised=float(np.mean([own > 0 for _, own in rows])),
        hits=sum(len(row) for row in first),
        promising_hits=sum(int((row > -log_p).sum()) for row, log_p in zip(first, before, strict=True)),
        promising_queries=sum(int(total > -log_p) for total, log_p in zip(ten, before, strict=True)),
    )


class _Taken:
    """Takes steps and measures them. The weights are as they were after each."""

    def __init__(
        self, engine: PytorchEngine, inputs: Inputs, queries: Sequence[TokenSequence], before: Float64Array
    ) -> None:
        self._engine, self._queries, self._before = engine, queries, before
        self._damping_factor = inputs.config.damping_factor
        self._scale = 1 / inputs.card.training_set_size

    def step(
        self, z: TokenSequence, number: int, total: int, progress: Callable[[CheckProgress], None]
    ) -> tuple[Float64Array, float]:
        """Return the measured effects of a sequence's step, in nats: on each query [Q], and on itself."""
        progress(CheckProgress(stage=CheckStage.STEP, done=number, total=total))
        model, layers = self._engine.model.model, self._engine.model.layers
        V_z = self._engine.precondition(self._engine.query_gradients([z]), self._damping_factor)
        own = log_likelihoods(model, [z])[0]
        with MovableWeights(layers) as weights:
            weights.move([layer[0] for layer in V_z.layers], self._scale)  # type: ignore[index]
            after, own_after = log_likelihoods(model, self._queries), log_likelihoods(model, [z])[0]
        return after - self._before, float(own_after - own)


def _band(predicted: Float64Array, measured: Float64Array, low: float, high: float) -> Band:
    chosen = (np.abs(predicted) >= low) & (np.abs(predicted) < high)
    p, m = predicted[chosen], measured[chosen]
    return Band(
        at_least=low,
        below=None if high == float("inf") else high,
        pairs=len(p),
        slope=float(p @ m / (p @ p)) if len(p) else None,
        right_signs=_right(p, m),
    )


def _right(predicted: Float64Array, measured: Float64Array) -> float | None:
    return float((np.sign(predicted) == np.sign(measured)).mean()) if len(predicted) else None
