"""The ``fake`` engine: a tiny language model in numpy whose influences are computed densely, exactly, in float64.

It ships as an oracle (every law holds by construction: each layer solves a dense linear system with its damped
curvature) and as a probe of overhead (its own cost is negligible beside the service's). The model is a two-layer
network over exponentially decaying sums of earlier tokens, so that predictions depend on the context:

    c_t = Σ_{u≤t} ρ^{t-u} E[x_u],  h_t = W₁ [c_t; 1],  g_t = Σ_{u≤t} ρ^{t-u} tanh(h_u),  logits_t = E W₂ g_t
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from safetensors.numpy import load_file, save_file

from whence.errors import InvalidRequestError
from whence.reasons import Reason
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
from whence_backends.ekfac.damping import damping
from whence_backends.ekfac.factors import FORMAT, FactorArrays, Factors, FactorsCard, basis_file, lambda_file
from whence_backends.engines.checks import require_known_options, require_valid
from whence_backends.models.source import ModelSource, resolve_model
from whence_backends.store import ArtefactWriter

MODEL_TYPE: Final = "whence-fake"
_DECAY: Final = 0.7
_MAX_TOKENS: Final = 4096


class Trace(NamedTuple):
    """One layer's inputs a [T, D_in] and output gradients s [T, D_out] in one sequence."""

    a: Float64Array
    s: Float64Array


@dataclass(frozen=True, kw_only=True, eq=False)
class FakeModel:
    """E [V, D], W1 [H, D + 1] (the last column is the bias) and W2 [D, H], all float64."""

    E: Float64Array
    W1: Float64Array
    W2: Float64Array

    @classmethod
    def random(cls, vocabulary: int, *, width: int = 6, hidden: int = 9, seed: int = 0) -> FakeModel:
        """Return a model with random weights."""
        rng = np.random.default_rng(seed)
        return cls(
            E=rng.normal(size=(vocabulary, width)),
            W1=rng.normal(size=(hidden, width + 1)) / 2,
            W2=rng.normal(size=(width, hidden)) / 2,
        )

    @classmethod
    def load(cls, folder: Path) -> FakeModel:
        """Read a model that :meth:`save` wrote."""
        return cls(**load_file(folder / "model.safetensors"))

    def save(self, folder: Path) -> None:
        """Write the model in the layout of a Hugging Face folder; a tokenizer may be added to the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"E": self.E, "W1": self.W1, "W2": self.W2}, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps({"model_type": MODEL_TYPE, "vocab_size": len(self.E)}))

    @property
    def layers(self) -> tuple[LayerSpec, ...]:
        """The two tracked layers."""
        (hidden, width), bias = self.W1.shape, 1
        return (
            LayerSpec(name="first", d_in=width, d_out=hidden, bias=bool(bias)),
            LayerSpec(name="second", d_in=hidden, d_out=self.W2.shape[0], bias=False),
        )

    def trace(self, sequence: TokenSequence) -> tuple[float, list[Trace]]:
        """Return (Σ weight · log p, each layer's trace over the T - 1 input positions)."""
        ids, weights = np.asarray(sequence.token_ids), np.asarray(sequence.weights, np.float64)[1:]
        a1 = np.concatenate([_accumulate(self.E[ids[:-1]]), np.ones((len(ids) - 1, 1))], axis=1)
        active = np.tanh(a1 @ self.W1.T)
        a2 = _accumulate(active)
        logits = a2 @ self.W2.T @ self.E.T
        logits -= logits.max(axis=1, keepdims=True)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        rows = np.arange(len(weights))
        d_logits = -np.exp(log_p)
        d_logits[rows, ids[1:]] += 1
        s2 = weights[:, None] * d_logits @ self.E
        s1 = _accumulate((s2 @ self.W2)[::-1])[::-1] * (1 - active**2)
        value = float((weights * log_p[rows, ids[1:]]).sum())
        return value, [Trace(a1, s1), Trace(a2, s2)]


def fit_fake(model: Path, corpus: Any, out: Path, *, layer_scale: float = 1.0) -> Factors:  # noqa: ANN401
    """Fit a fake model's factors on a :class:`~whence_backends.fit.SequenceSource`, with the data's labels.

    ``layer_scale`` multiplies the first layer's Λ, for tests of damping.
    """
    fake = FakeModel.load(model)
    return fit_traces(
        resolve_model(str(model)),
        lambda sequence: fake.trace(sequence)[1],
        corpus,
        out,
        layers=fake.layers,
        parameters=fake.E.size + fake.W1.size + fake.W2.size,
        scales=(layer_scale, 1.0),
    )


def fit_traces(
    source: ModelSource,
    trace: Callable[[TokenSequence], Sequence[Trace]],
    corpus: Any,  # noqa: ANN401
    out: Path,
    *,
    layers: tuple[LayerSpec, ...],
    parameters: int,
    scales: Sequence[float] | None = None,
) -> Factors:
    """Fit the factors of any small model in numpy, densely, in float64: for tests of engines.

    ``trace`` gives each layer's inputs and output gradients in one sequence, with the data's labels; ``scales``
    multiply each layer's Λ.
    """
    items = [item for item in corpus.tokens_at(range(len(corpus.all_lengths()))) if len(item.token_ids) > 1]
    traces = [(trace(item), np.asarray(item.weights)[1:] != 0) for item in items]
    writer, files = ArtefactWriter(out, FORMAT), []
    for index in range(len(layers)):
        a = np.concatenate([layer_traces[index].a[valid] for layer_traces, valid in traces])
        s = np.concatenate([layer_traces[index].s[valid] for layer_traces, valid in traces])
        Q_A, Q_S = np.linalg.eigh(a.T @ a)[1], np.linalg.eigh(s.T @ s)[1]
        rotated = [Q_S.T @ layer_traces[index].s.T @ layer_traces[index].a @ Q_A for layer_traces, _ in traces]
        Lambda = np.mean([matrix**2 for matrix in rotated], axis=0) * (scales[index] if scales else 1.0)
        basis = {"Q_A": np.ascontiguousarray(Q_A), "Q_S": np.ascontiguousarray(Q_S)}
        files.append(writer.add(basis_file(index), partial(save_file, basis)))
        files.append(writer.add(lambda_file(index), partial(save_file, {"Lambda": Lambda})))
    card = FactorsCard(
        model=source.reference,
        model_digest=source.digest,
        corpus_digest=corpus.digest,
        training_set_size=len(corpus.all_lengths()),
        fitted_sequences=len(items),
        fitted_tokens=sum(len(item.token_ids) - 1 for item in items),
        labels="empirical",
        seed=0,
        precision="float64",
        tracked="all-linear",
        layers=layers,
        parameters=parameters,
        unattributed={"embedding": parameters - sum(layer.d_in * layer.d_out for layer in layers)},
        versions={"numpy": version("numpy")},
    )
    writer.finish(files, card.as_properties())
    return Factors.open(out)


def create(config: EngineConfig) -> FakeEngine:
    """Load a fake model and its factors."""
    source = resolve_model(config.model)
    if json.loads((source.path / "config.json").read_text(encoding="utf-8")).get("model_type") != MODEL_TYPE:
        raise InvalidRequestError(
            f"{config.model} is not a model of the fake engine; expected one that FakeModel.save wrote, or another "
            "engine: pytorch",
            reason=Reason.MODEL_NOT_LOADABLE,
            field="model",
        )
    require_known_options("fake", config.options)
    factors, model = Factors.open(config.factors), FakeModel.load(source.path)
    factors.require_model(source.digest, config.model)
    factors.require_layers(model.layers)
    return FakeEngine(model, factors, source.digest)


class FakeEngine:
    """See :class:`whence_backends.contract.Engine`."""

    def __init__(self, model: FakeModel, factors: Factors, model_digest: str) -> None:
        self._model = model
        self._factors = [factors.layer(index) for index in range(len(model.layers))]
        self._info = EngineInfo(
            engine="fake",
            precision="float64",
            device="cpu",
            layers=model.layers,
            max_tokens=_MAX_TOKENS,
            vocabulary_size=len(model.E),
            parameters=factors.card.parameters,
            model_digest=model_digest,
            factors_digest=factors.digest,
            dead_layers=factors.dead_layers(),
        )

    @property
    def info(self) -> EngineInfo:
        """What this engine is and holds."""
        return self._info

    def query_gradients(self, queries: Sequence[TokenSequence]) -> list[QueryGradient]:
        """Return each query's rotated gradient as token factors."""
        gradients = []
        for query in queries:
            require_valid([query], self._info)
            value, traces = self._model.trace(query)
            layers = tuple(
                LayerGradient(left=trace.s @ factors.Q_S, right=trace.a @ factors.Q_A)
                for trace, factors in zip(traces, self._factors, strict=True)
            )
            gradients.append(QueryGradient(layers=layers, log_likelihood=value))
        return gradients

    def precondition(self, gradients: Sequence[QueryGradient], damping_factor: float) -> list[Float64Array]:
        """Return (F + λI)⁻¹ G of each layer, [Q, D_out, D_in], by dense linear solves in the original basis."""
        solved: list[Float64Array] = []
        for index, factors in enumerate(self._factors):
            right_sides = [_unrotated(gradient.layers[index], factors).reshape(-1) for gradient in gradients]
            added = damping(float(factors.Lambda.mean()), damping_factor)
            solved.append(_solve(factors, added, np.stack(right_sides)).reshape(-1, *factors.Lambda.shape))
        return solved

    def score(
        self, preconditioned: list[Float64Array], sequences: Sequence[TokenSequence], detail: Detail = Detail.TOTAL
    ) -> Float64Array:
        """Return raw influences, shaped as ``detail`` says; one sequence at a time."""
        Q, B, L = len(preconditioned[0]), len(sequences), len(preconditioned)
        longest = max(len(sequence.token_ids) for sequence in sequences)
        parts, layers = np.zeros((Q, B, L, longest)), np.zeros((Q, B, L))
        for b, sequence in enumerate(sequences):
            require_valid([sequence], self._info)
            for index, trace in enumerate(self._model.trace(sequence)[1]):
                tokens = np.einsum("qoi,to,ti->qt", preconditioned[index], trace.s, trace.a)
                parts[:, b, index, : len(trace.a)] = tokens
                # Without the padding, whose length would decide in which order numpy adds, and so the last bit.
                layers[:, b, index] = tokens.sum(axis=1)
        if detail is Detail.LAYERS_TOKENS:
            return parts
        return layers if detail is Detail.LAYERS else layers.sum(axis=2)

    def device_memory_bytes(self) -> int:
        """Return the size of the model and the factors."""
        model = sum(array.nbytes for array in (self._model.E, self._model.W1, self._model.W2))
        return model + sum(array.nbytes for factors in self._factors for array in factors)

    def close(self) -> None:
        """Nothing to release."""


def _accumulate(x: Float64Array) -> Float64Array:
    """Return y_t = Σ_{u≤t} ρ^{t-u} x_u for x [T, D]."""
    out, terms = np.array(x, dtype=np.float64), 1
    while terms < len(out):  # y_t has its latest terms, and gets as many of those before them
        out[terms:] += _DECAY**terms * out[:-terms]
        terms *= 2
    return out


def _unrotated(gradient: LayerGradient, factors: FactorArrays) -> Float64Array:
    G: Float64Array = factors.Q_S @ (gradient.left.T @ gradient.right) @ factors.Q_A.T
    return G


def _solve(factors: FactorArrays, added: float, right_sides: Float64Array) -> Float64Array:
    """Return (F + λI)⁻¹ of each right side [Q, D_out·D_in], with F the dense curvature and λ = ``added``."""
    if math.isinf(added):
        return np.zeros_like(right_sides, dtype=np.float64)
    Q = np.kron(factors.Q_S, factors.Q_A)
    F: Float64Array = (Q * factors.Lambda.reshape(-1)) @ Q.T + added * np.eye(len(Q))
    solved: Float64Array = np.linalg.solve(F, right_sides.T).T.astype(np.float64, copy=False)
    return solved
