"""An engine of somebody else's, for a model of its own: it uses the contract, what its docstrings name, and no more.

The model is a bigram: after token x the logits are U W [E[x]; 1]. One layer, W, is tracked; all is numpy, in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import load_file, save_file

from whence_backends.contract import (
    Detail,
    EngineConfig,
    EngineInfo,
    Float64Array,
    LayerGradient,
    LayerSpec,
    QueryGradient,
    TokenSequence,
)
from whence_backends.ekfac.factors import Factors
from whence_backends.engines.checks import require_known_options, require_valid
from whence_backends.models import resolve_model


class Trace(NamedTuple):
    """The layer's inputs a [T, D_in], with the trailing 1, and output gradients s [T, D_out]."""

    a: Float64Array
    s: Float64Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Bigram:
    """E [V, D], W [D_out, D + 1] and U [V, D_out]."""

    E: Float64Array
    W: Float64Array
    U: Float64Array

    @classmethod
    def random(cls, vocabulary: int) -> Bigram:
        rng = np.random.default_rng(0)
        shapes = {"E": (vocabulary, 5), "W": (7, 6), "U": (vocabulary, 7)}
        return cls(**{name: rng.normal(size=shape) for name, shape in shapes.items()})

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        save_file({"E": self.E, "W": self.W, "U": self.U}, folder / "model.safetensors")
        (folder / "config.json").write_text('{"model_type": "bigram"}')

    @property
    def layer(self) -> LayerSpec:
        return LayerSpec(name="W", d_in=self.W.shape[1], d_out=self.W.shape[0], bias=True)

    def trace(self, sequence: TokenSequence) -> tuple[float, Trace]:
        """Return (Σ weight · log p, the trace over the T - 1 input positions)."""
        ids, weights = sequence.token_ids, sequence.weights[1:].astype(np.float64)
        a = np.concatenate([self.E[ids[:-1]], np.ones((len(weights), 1))], axis=1)
        logits = a @ self.W.T @ self.U.T
        log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        s = weights[:, None] * (self.U[ids[1:]] - np.exp(log_p) @ self.U)
        return float(weights @ log_p[np.arange(len(weights)), ids[1:]]), Trace(a, s)


def create(config: EngineConfig) -> BigramEngine:
    require_known_options("bigram", config.options)
    source, factors = resolve_model(config.model), Factors.open(config.factors)
    factors.require_model(source.digest, config.model)
    model = Bigram(**load_file(source.path / "model.safetensors"))
    factors.require_layers([model.layer])
    return BigramEngine(model, factors)


class BigramEngine:
    """See :class:`whence_backends.contract.Engine`."""

    def __init__(self, model: Bigram, factors: Factors) -> None:
        self._model, self._factors = model, factors.layer(0)
        self.info = EngineInfo(
            engine="bigram",
            precision="float64",
            device="cpu",
            layers=(model.layer,),
            max_tokens=64,
            vocabulary_size=len(model.E),
            parameters=model.E.size + model.W.size + model.U.size,
            model_digest=factors.card.model_digest,
            factors_digest=factors.digest,
        )

    def query_gradients(self, queries: Sequence[TokenSequence]) -> list[QueryGradient]:
        require_valid(queries, self.info)
        return [self._query_gradient(query) for query in queries]

    def precondition(self, gradients: Sequence[QueryGradient], damping_factor: float) -> Float64Array:
        """Return V [Q, D_out, D_in]."""
        Q_A, Q_S, Lambda = self._factors
        damped = Lambda + damping_factor * Lambda.mean()
        rotated = (gradient.layers[0].left.T @ gradient.layers[0].right for gradient in gradients)
        return np.stack([Q_S @ (G / damped) @ Q_A.T for G in rotated])

    def score(
        self, preconditioned: Float64Array, sequences: Sequence[TokenSequence], detail: Detail = Detail.TOTAL
    ) -> Float64Array:
        require_valid(sequences, self.info)
        longest = max(len(sequence.token_ids) for sequence in sequences)
        parts = np.zeros((len(preconditioned), len(sequences), 1, longest))
        for b, sequence in enumerate(sequences):
            trace = self._model.trace(sequence)[1]
            parts[:, b, 0, : len(trace.a)] = np.einsum("qoi,to,ti->qt", preconditioned, trace.s, trace.a)
        by_layer: Float64Array = parts.sum(axis=3)
        if detail is Detail.LAYERS_TOKENS:
            return parts
        return by_layer if detail is Detail.LAYERS else by_layer[..., 0]

    def device_memory_bytes(self) -> int:
        arrays = (*self._factors, self._model.E, self._model.W, self._model.U)
        return sum(array.nbytes for array in arrays)

    def close(self) -> None:
        pass

    def _query_gradient(self, query: TokenSequence) -> QueryGradient:
        value, trace = self._model.trace(query)
        layer = LayerGradient(left=trace.s @ self._factors.Q_S, right=trace.a @ self._factors.Q_A)
        return QueryGradient(layers=(layer,), log_likelihood=value)
