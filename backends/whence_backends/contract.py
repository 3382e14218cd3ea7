"""The engine contract: the interface of a backend that computes influences, and the laws that it must obey.

An engine holds one model and its EK-FAC factors on one device. Data goes in as numpy arrays and comes out as numpy
arrays; nothing here knows torch, gRPC or files.

Write an engine by implementing :class:`Engine` and exposing a factory ``create(config: EngineConfig) -> Engine``
through the entry-point group ``whence.engines``; then run the conformance suite (``tests/conformance``) on it. Engines
that can sketch gradients on their device implement :class:`SketchingEngine`; others build an index more slowly. Engines
that can keep preconditioned queries in a bounded rank implement :class:`LowRankEngine`; with others, fewer queries
share a pass. A factory also needs the following, none of which imports torch:

- ``whence_backends.models.resolve_model(config.model)`` gives ``.path`` and ``.digest``. A folder must hold a
  ``config.json`` and ``*.safetensors``; these alone make the digest. To be served it holds a ``tokenizer.json`` too.
- ``whence_backends.ekfac.factors.Factors.open(config.factors)`` verifies the factors: ``.digest``, ``.card``, and
  ``.layer(index)``, of the layer ``.card.layers[index]``, with ``Q_A``, ``Q_S`` (eigenvectors as columns) and
  ``Lambda`` [D_out, D_in] in the precision that they were fitted in. ``.require_model(digest, config.model)`` and
  ``.require_layers(specs)`` refuse those of another model or of other layers. For a model that ``whence fit`` cannot
  load, ``whence_backends.engines.fake.fit_traces`` makes factors of a and s, densely.
- ``whence.errors``: what cannot work is an ``InvalidRequestError`` with a ``reason`` and the ``field`` to change
  (``UNKNOWN_DEVICE`` device, ``UNKNOWN_PRECISION`` precision, ``INVALID_ENGINE_OPTION`` engine_options, and
  ``MODEL_NOT_LOADABLE`` model where it is of a kind that the engine does not take), what does not belong together a
  ``MismatchError``. An engine that computes on several devices, or in several precisions, never takes another than was
  asked for; one that has a single one takes any, and says in ``info`` what it has.

Shapes: ``T`` tokens, ``L`` tracked layers, ``Q`` queries, ``B`` sequences, ``R`` rank; ``D_in`` counts the trailing 1
of a layer with a bias. Symbols are those of Grosse et al. 2023 (arXiv 2308.03296, §2-3): for a tracked layer with
inputs a_t and output gradients s_t, the gradient of a sequence is G = Σ_t s_t a_tᵀ, with shape [D_out, D_in].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]  # in the engine's precision: float32, or float64
Float64Array = NDArray[np.float64]
Int32Array = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class TokenSequence:
    """Tokens and their weights as targets: the measurement is Σ_t weights[t] · log p(token_t | tokens < t).

    ``token_ids`` int32 [T]; ``weights`` float [T], with ``weights[0] == 0`` because the first token has no context.
    A training sequence has weight 1 everywhere else; a prompt, or a masked part, has weight 0. The caller ensures
    both, and T ≥ 1. A sequence of one token, or with all weights 0, measures nothing: its influence is 0.
    """

    token_ids: Int32Array
    weights: FloatArray


@dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """A tracked linear layer. ``d_in`` counts the trailing 1 where ``bias`` is true."""

    name: str
    d_in: int
    d_out: int
    bias: bool

    def __str__(self) -> str:
        return f"{self.name} [{self.d_out}, {self.d_in}]{' with bias' if self.bias else ''}"


@dataclass(frozen=True, kw_only=True)
class LayerGradient:
    """One layer's gradient in the eigenbasis, Q_Sᵀ G Q_A = leftᵀ right, *not* divided by Λ + λ.

    ``left`` [R, D_out] and ``right`` [R, D_in], float32 or, from a float64 engine, float64.
    R ≤ T; the rows are the tokens, or fewer that have the same product.
    """

    left: FloatArray
    right: FloatArray


@dataclass(frozen=True, kw_only=True)
class QueryGradient:
    """A query's gradient as the cache stores it, usable by any engine with the same factors.

    ``log_likelihood`` is the measurement, in nats. ``truncation_error`` is the relative Frobenius error of the stored
    gradient over all layers, 0 if it is stored without loss.
    """

    layers: tuple[LayerGradient, ...]
    log_likelihood: float
    truncation_error: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerFold:
    """The fold of one layer's rotated gradient Ĝ = Q_Sᵀ G Q_A into ``K`` values of a sketch, starting at ``start``.

    value[start + k] += Σ_m weights[m, k] · Ĝ.flat[indices[m, k]], with ``indices`` int32 [M, K] into the row-major
    [D_out, D_in] and ``weights`` float32 [M, K]: a random sign over √(Λ + λ), or 0 for an empty slot.
    """

    start: int
    indices: Int32Array
    weights: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class SketchPlan:
    """The plan of a sketch of ``width`` values: one fold per layer, in the order of ``EngineInfo.layers``.

    The weights of the folds include ``damping_factor``.
    """

    width: int
    damping_factor: float
    folds: tuple[LayerFold, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sketches:
    """The data of training sequences in an index.

    ``values`` float [B, width] are their sketches; ``self_influence`` float64 [B] is their raw self-influence,
    Σ_ℓ Σ Ĝ² ⊘ (Λ + λ) over *all* coordinates, including those that the sketch omits.
    """

    values: FloatArray
    self_influence: Float64Array


class Detail(Enum):
    """How finely :meth:`Engine.score` splits influences, which determines the shape of its result."""

    TOTAL = "total"  # [Q, B]
    LAYERS = "layers"  # [Q, B, L]
    LAYERS_TOKENS = "layers_tokens"  # [Q, B, L, T], T the longest sequence of the batch; 0 beyond a sequence's end


@dataclass(frozen=True, kw_only=True)
class SelfCheck:
    """The result of a model's self-check on a short random batch.

    ``gradient_error`` is the largest error over the tracked layers of a traced gradient against autograd's, relative to
    its Frobenius norm, and ``layer`` the layer that has it. ``idle`` names the tracked layers that took no part.
    """

    gradient_error: float
    layer: str
    idle: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """The description of an engine.

    ``precision`` is the type that the model computes in, for example ``float32``. Engines that agree in it and in both
    digests read each other's cached query gradients, so an engine that computes another function must have another
    ``model_digest``. ``layers`` are those of the factors, in their order; ``dead_layers`` names those whose Λ is 0, to
    which nothing is attributed. ``max_tokens`` is the longest sequence, including its last token, which is only a
    target. ``self_check`` is the result of the engine's self-check, ``None`` if it cannot make one.
    """

    engine: str
    precision: str
    device: str
    layers: tuple[LayerSpec, ...]
    max_tokens: int
    vocabulary_size: int
    parameters: int
    model_digest: str
    factors_digest: str
    dead_layers: tuple[str, ...] = ()
    self_check: SelfCheck | None = None

    @property
    def attributed_parameters(self) -> int:
        """The number of parameters in tracked layers that are not dead."""
        return sum(layer.d_in * layer.d_out for layer in self.layers if layer.name not in self.dead_layers)


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """The configuration that an engine is created from.

    ``model`` is a local folder (in Hugging Face layout, or an export), a GGUF file or a hub name; ``factors`` the
    folder that ``whence fit`` wrote. ``threads`` bounds the CPU threads (``None``: the engine's choice).
    ``query_rank`` bounds the rank of each layer's stored gradient (``None``: stored without loss); an engine that
    always stores without loss ignores it. ``options`` are the engine's own, as strings; it refuses unknown names and
    invalid values.
    """

    model: str
    factors: Path
    device: str = "auto"
    precision: str = "float32"
    threads: int | None = None
    query_rank: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """One model and its factors, able to compute gradients and influences.

    Created and called on one thread; only ``info`` and :meth:`device_memory_bytes` are used from other threads.

    Laws (``tests/conformance`` checks each):

    - **Pure.** No call changes the model or the factors; the same call gives the same bits.
    - **Alone or together.** The score of a sequence does not depend on the other sequences or queries of the call, nor
      on padding (up to rounding: 1e-9 relative in float64, 1e-4 in float32).
    - **Whole.** ``LAYERS`` is the sum of ``LAYERS_TOKENS`` over tokens; ``TOTAL`` the sum of ``LAYERS`` over layers.
    - **Linear.** Influence is linear in the training sequence's weights, and in the query's unless its rank is bounded.
    - **Damped by layer.** Each layer has its own λ = damping_factor · mean(Λ).
    """

    @property
    def info(self) -> EngineInfo:
        """The description of this engine; constant."""
        ...

    def query_gradients(self, queries: Sequence[TokenSequence]) -> list[QueryGradient]:
        """Return the gradient of each query's measurement, rotated into the eigenbasis.

        Each gradient is computed alone: it is bit-equal whatever the other queries of the call.

        Raises :class:`~whence.errors.InvalidRequestError` for a sequence longer than ``info.max_tokens`` or a token id
        outside the vocabulary (:func:`whence_backends.engines.checks.require_valid`).
        """
        ...

    def precondition(self, gradients: Sequence[QueryGradient], damping_factor: float) -> Any:  # noqa: ANN401
        """Return V = Q_S [(Q_Sᵀ G Q_A) ⊘ (Λ + λ)] Q_Aᵀ of each query, in an opaque form.

        There is at least one gradient, from this engine or another with the same factors; ``damping_factor`` is
        positive. The result is only ever passed to :meth:`score` of the same engine. It holds device memory
        as long as it exists.
        """
        ...

    def score(
        self,
        preconditioned: Any,  # noqa: ANN401 - the engine's own
        sequences: Sequence[TokenSequence],
        detail: Detail = Detail.TOTAL,
    ) -> Float64Array:
        """Return the raw influence Σ_ℓ ⟨V_ℓ, G_ℓ(z)⟩ of each sequence z on each query, split as ``detail`` says.

        The token part of an influence belongs to the *input* position t whose s_t a_tᵀ it came from: the token that the
        model read at t. The last token of a sequence is never an input: its part is 0.

        There is at least one sequence. The caller bounds the padded tokens of the batch by its token budget. An
        engine that lacks memory for such a batch splits it, which by the laws does not change the result.

        Raises the errors of :meth:`query_gradients` for a sequence that the model cannot process.
        """
        ...

    def device_memory_bytes(self) -> int:
        """Return the device memory that the engine holds now, in bytes: at least that of its model and factors.

        On a CPU this is host memory. Called from any thread at any time, so it must be fast and must not wait for
        another call.
        """
        ...

    def close(self) -> None:
        """Release device memory. Nothing else may be called afterwards."""
        ...


@runtime_checkable
class SketchingEngine(Engine, Protocol):
    """An engine that sketches training sequences on its device, for ``whence index``.

    With any other engine, sketches are made from :meth:`Engine.query_gradients`, one sequence at a time.
    """

    def prepare_sketches(self, plan: SketchPlan) -> Any:  # noqa: ANN401
        """Return the plan in an opaque form, for :meth:`sketch` of the same engine."""
        ...

    def sketch(self, prepared: Any, sequences: Sequence[TokenSequence]) -> Sketches:  # noqa: ANN401
        """Return the sketches of at least one sequence, under the laws and with the errors of :meth:`Engine.score`.

        Up to rounding, they equal the folds of the gradients that :meth:`Engine.query_gradients` returns.
        """
        ...


@runtime_checkable
class LowRankEngine(Engine, Protocol):
    """An engine that can keep preconditioned queries in a bounded rank, so that more of them fit into memory."""

    def precondition_low_rank(
        self, gradients: Sequence[QueryGradient], damping_factor: float, rank: int
    ) -> tuple[Any, Float64Array]:
        """Return the queries of :meth:`Engine.precondition`, each layer truncated to ``rank``, and their errors [Q].

        The error of a query is the expected relative error of an influence, its root mean square over the distribution
        that Λ was fitted on: √(Σ_ℓ Σ Λ ⊙ (V - V_rank)² / Σ_ℓ Σ Λ ⊙ V²) in the eigenbasis. It is 0 if every layer is
        kept whole; a layer is kept whole if truncation would not save memory.
        """
        ...
