"""The ``ort`` engine: an export of ``whence export``, on any provider of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnxruntime

from whence.errors import InvalidRequestError, MismatchError
from whence.reasons import Reason
from whence_backends.batching import pad, plan_batches, probe_sequences
from whence_backends.contract import (
    Detail,
    EngineConfig,
    EngineInfo,
    Float64Array,
    FloatArray,
    LayerFold,
    LayerGradient,
    QueryGradient,
    SelfCheck,
    Sketches,
    SketchPlan,
    TokenSequence,
)
from whence_backends.ekfac.budgets import GRADIENTS
from whence_backends.ekfac.factors import Factors
from whence_backends.ekfac.layer_factors import LayerFactors
from whence_backends.ekfac.preconditioned import Preconditioned
from whence_backends.ekfac.storage import compress, relative_error, squared_norm
from whence_backends.engines.checks import require_valid
from whence_backends.engines.ort.arrays import DeviceArray
from whence_backends.engines.ort.compression import OrtArrays
from whence_backends.engines.ort.export_check import check_export
from whence_backends.engines.ort.mathematics import Mathematics
from whence_backends.engines.ort.options import OrtOptions, Placement, read_options
from whence_backends.engines.ort.preconditioning import Preconditioner, place_factors
from whence_backends.engines.ort.sessions import Session, SessionOpener
from whence_backends.models.exported import (
    LABELS,
    LOG_P,
    TOKEN_IDS,
    WEIGHTS,
    Export,
    ExportCard,
    gradient_name,
    input_name,
)
from whence_backends.models.source import resolve_model


def create(config: EngineConfig) -> OrtEngine:
    """Load an export and the factors. Raises if they do not belong together."""
    source = resolve_model(config.model)
    if source.kind != "export":
        raise InvalidRequestError(
            f"{config.model} is not an export; the engine ort runs what `whence export --model {config.model} "
            f"--factors {config.factors} --out DIR` writes: name that folder as the model",
            reason=Reason.MODEL_NOT_EXPORTED,
            field="model",
        )
    options = read_options(config, onnxruntime.get_available_providers())
    exported = Export.open(source.path)
    if config.precision != exported.card.precision:
        raise MismatchError(
            f"the export in {source.path} computes in {exported.card.precision}, not in {config.precision}; set "
            f"precision {exported.card.precision}, or export the model in {config.precision}",
            reason=Reason.EXPORT_PRECISION_MISMATCH,
            export=source.path,
        )
    factors = Factors.open(config.factors)
    factors.require_model(source.digest, config.model)
    factors.require_layers(exported.card.layers)
    return OrtEngine(exported, factors, options, config.query_rank)


@dataclass(frozen=True, kw_only=True, eq=False)
class _PreparedFold:
    """A layer's fold on the device; ``inverse`` is 1/(Λ + λ) [D_out·D_in, 1]."""

    start: int
    indices: DeviceArray
    weights: DeviceArray
    inverse: DeviceArray

    @classmethod
    def place(
        cls, fold: LayerFold, factors: LayerFactors[DeviceArray], damping_factor: float, placement: Placement
    ) -> _PreparedFold:
        Lambda = factors.Lambda.numpy()
        inverse = (1 / (Lambda + factors.damping(damping_factor))).astype(Lambda.dtype)
        return cls(
            start=fold.start,
            indices=DeviceArray.of(fold.indices.astype(np.int64), placement),
            weights=DeviceArray.of(fold.weights[..., None].astype(Lambda.dtype), placement),
            inverse=DeviceArray.of(inverse.reshape(-1, 1), placement),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedSketches:
    """A plan's folds on the device."""

    width: int
    folds: list[_PreparedFold]


class OrtEngine:
    """See :class:`~whence_backends.contract.SketchingEngine` and :class:`~whence_backends.contract.LowRankEngine`.

    Whatever the model's precision, the rest is computed in float32 (or float64). A batch is cut into parts whose traces
    fit into ``trace_memory_bytes``, since the traces of all layers are held at once.
    """

    def __init__(self, exported: Export, factors: Factors, options: OrtOptions, query_rank: int | None) -> None:
        self._card = card = exported.card
        self._query_rank = query_rank
        self._wide: np.dtype[Any] = np.dtype(np.float64 if card.precision == "float64" else np.float32)
        opener = SessionOpener(options)
        self._model: Session = opener.open(exported.graph)
        self._mathematics = Mathematics(opener, "double" if self._wide == np.float64 else "float")
        self._placement = opener.placement
        self._tokens_at_once = max(1, options.trace_memory_bytes // _trace_bytes_per_token(card, self._wide.itemsize))
        layers = range(len(card.layers))
        self._factors = [place_factors(factors.layer(i), self._wide, self._placement) for i in layers]
        self._preconditioner = Preconditioner(self._factors, self._mathematics, self._wide, self._placement)
        self._arrays = OrtArrays(mathematics=self._mathematics, dtype=self._wide, placement=self._placement)
        held = [array for layer in self._factors for array in (layer.Q_A, layer.Q_S, layer.Lambda)]
        self._held_bytes = exported.size_bytes + sum(array.size_bytes for array in held)
        self._info = EngineInfo(
            engine="ort",
            precision=card.precision,
            device=str(self._placement),
            layers=card.layers,
            max_tokens=card.max_tokens,
            vocabulary_size=card.vocabulary_size,
            parameters=card.parameters,
            model_digest=card.model_digest,
            factors_digest=factors.digest,
            dead_layers=factors.dead_layers(),
        )
        self._info = replace(self._info, self_check=self._check())

    def _check(self) -> SelfCheck | None:
        """Compute the gradients of the probing sequences, and compare their norms with those recorded in the export."""
        if self._card.self_check is None:
            return None
        traces = self._trace(probe_sequences(self._card.vocabulary_size, self._card.max_tokens))
        norms = []
        for index in range(len(self._card.layers)):
            a, s = (x.numpy().astype(np.float64) for x in self._a_and_s(traces, index))
            norms.append(sum(squared_norm(*pair) for pair in zip(s, a, strict=True)) ** 0.5)
        return check_export(self._card, norms)

    @property
    def info(self) -> EngineInfo:
        """What this engine is and holds."""
        return self._info

    def query_gradients(self, queries: Sequence[TokenSequence]) -> list[QueryGradient]:
        """Return each query's rotated gradient, from one pass per query, so that it does not depend on the others."""
        return [self._query_gradient(query) for query in queries]

    def precondition(self, gradients: Sequence[QueryGradient], damping_factor: float) -> Preconditioned[DeviceArray]:
        """Return V [Q, D_out, D_in] of each layer."""
        return self._preconditioner.whole(gradients, damping_factor)

    def precondition_low_rank(
        self, gradients: Sequence[QueryGradient], damping_factor: float, rank: int
    ) -> tuple[Preconditioned[DeviceArray], Float64Array]:
        """Return V of each layer truncated to ``rank``, and the relative error of each query's influences."""
        return self._preconditioner.low_rank(gradients, damping_factor, rank)

    def score(
        self,
        preconditioned: Preconditioned[DeviceArray],
        sequences: Sequence[TokenSequence],
        detail: Detail = Detail.TOTAL,
    ) -> Float64Array:
        """Return raw influences, in the shape of ``detail``."""
        require_valid(sequences, self._info)
        lengths = [len(sequence.token_ids) for sequence in sequences]
        shape = (preconditioned.queries, len(sequences), len(self._card.layers))
        scores = np.zeros((*shape, max(lengths)) if detail is Detail.LAYERS_TOKENS else shape)
        for part in plan_batches(lengths, self._tokens_at_once):
            scored = self._score([sequences[i] for i in part], preconditioned, detail)
            if detail is Detail.LAYERS_TOKENS:
                scores[:, part, :, : scored.shape[3]] = scored[..., : max(lengths)]
            else:
                scores[:, part] = scored
        return scores.sum(axis=2) if detail is Detail.TOTAL else scores

    def prepare_sketches(self, plan: SketchPlan) -> PreparedSketches:
        """Place the plan's folds beside the factors."""
        pairs = zip(plan.folds, self._factors, strict=True)
        folds = [_PreparedFold.place(fold, factors, plan.damping_factor, self._placement) for fold, factors in pairs]
        return PreparedSketches(width=plan.width, folds=folds)

    def sketch(self, prepared: PreparedSketches, sequences: Sequence[TokenSequence]) -> Sketches:
        """Return the sketches of sequences, after one forward and backward pass."""
        require_valid(sequences, self._info)
        values = np.zeros((len(sequences), prepared.width), self._wide)
        self_influence = np.zeros(len(sequences))
        for part in plan_batches([len(sequence.token_ids) for sequence in sequences], self._tokens_at_once):
            traces = self._trace([sequences[i] for i in part])
            for index, fold in enumerate(prepared.folds):
                for rows, a, s in self._in_chunks(*self._a_and_s(traces, index)):
                    added, squared = self._sketch_layer(a, s, self._factors[index], fold)
                    values[part[rows], fold.start : fold.start + added.shape[1]] += added.numpy()
                    self_influence[part[rows]] += squared.numpy()[:, 0].astype(np.float64)
        return Sketches(values=values, self_influence=self_influence)

    def device_memory_bytes(self) -> int:
        """Return the size of model and factors; onnxruntime does not report what else its allocators hold."""
        return self._held_bytes

    def close(self) -> None:
        """Release the model and the factors."""
        self._factors.clear()
        del self._model, self._mathematics, self._preconditioner

    def _trace(self, sequences: Sequence[TokenSequence]) -> dict[str, DeviceArray]:
        token_ids, weights = pad(sequences)
        feeds = {TOKEN_IDS: token_ids[:, :-1], LABELS: token_ids[:, 1:], WEIGHTS: weights[:, 1:].astype(self._wide)}
        return self._model.run({name: DeviceArray.of(array, self._placement) for name, array in feeds.items()})

    def _a_and_s(self, traces: Mapping[str, DeviceArray], index: int) -> tuple[DeviceArray, DeviceArray]:
        """Return a layer's inputs [B, uses·T, D_in] and output gradients [B, uses·T, D_out]."""
        return traces[input_name(self._card.inputs[index])], traces[gradient_name(index)]

    def _query_gradient(self, query: TokenSequence) -> QueryGradient:
        require_valid([query], self._info)
        traces = self._trace([query])
        stored = []
        for index, factors in enumerate(self._factors):
            a, s = self._a_and_s(traces, index)
            left, right = self._mathematics.rotate(
                a.reshape(*a.shape[1:]), s.reshape(*s.shape[1:]), factors.Q_A, factors.Q_S
            )
            stored.append(compress(left, right, self._query_rank, self._arrays))
        return QueryGradient(
            layers=tuple(LayerGradient(left=layer.left.numpy(), right=layer.right.numpy()) for layer in stored),
            log_likelihood=_log_likelihood(traces[LOG_P].numpy()[0], query),
            truncation_error=relative_error(stored),
        )

    def _score(
        self, sequences: Sequence[TokenSequence], preconditioned: Preconditioned[DeviceArray], detail: Detail
    ) -> Float64Array:
        """Return the influences [Q, B, L] or [Q, B, L, T] of sequences that are traced together."""
        traces = self._trace(sequences)
        T = traces[LOG_P].shape[1]
        parts = []
        for index, queries in enumerate(preconditioned.layers):
            a, s = self._a_and_s(traces, index)
            scored = [self._layer_scores(V, a, s, T, detail) for V in self._preconditioner.multiplied_out(queries)]
            parts.append(np.concatenate(scored))
        return np.stack(parts, axis=2)

    def _layer_scores(self, V: DeviceArray, a: DeviceArray, s: DeviceArray, T: int, detail: Detail) -> Float64Array:
        """Return one layer's influences [q, B] or [q, B, T]."""
        if detail is Detail.LAYERS_TOKENS:
            return _fold_uses(self._by_token(V, a, s), T)
        if V.shape[0] == 1:
            total: Float64Array = self._by_token(V, a, s).sum(axis=2)
            return total
        return self._by_gradient(V, a, s)

    def _by_token(self, V: DeviceArray, a: DeviceArray, s: DeviceArray) -> Float64Array:
        """Return [Q, B, uses·T]; costs Q·B·T·D_in·D_out multiplications: for one query, or for tokens."""
        one_by_one = (V.rows(q, q + 1).reshape(*V.shape[1:]) for q in range(V.shape[0]))
        return np.stack([self._mathematics.by_token(v, a, s).numpy().astype(np.float64) for v in one_by_one])

    def _by_gradient(self, V: DeviceArray, a: DeviceArray, s: DeviceArray) -> Float64Array:
        """Return [Q, B]; costs B·(T + Q)·D_in·D_out multiplications."""
        Q, D_out, D_in = V.shape
        flat = V.reshape(Q, D_out * D_in)
        chunks = self._in_chunks(a, s)
        scored = [self._mathematics.by_gradient(flat, *pair).numpy().astype(np.float64) for _, *pair in chunks]
        return np.concatenate(scored, axis=1)

    def _in_chunks(self, a: DeviceArray, s: DeviceArray) -> Iterator[tuple[slice, DeviceArray, DeviceArray]]:
        """Yield slices of the sequences with their a and s, as many as the budget of gradients holds."""
        chunk = GRADIENTS.at_once(self._placement.memory, s.shape[2] * a.shape[2])
        for start in range(0, a.shape[0], chunk):
            yield slice(start, start + chunk), a.rows(start, start + chunk), s.rows(start, start + chunk)

    def _sketch_layer(
        self, a: DeviceArray, s: DeviceArray, factors: LayerFactors[DeviceArray], fold: _PreparedFold
    ) -> tuple[DeviceArray, DeviceArray]:
        return self._mathematics.sketch(
            a=a, s=s, Q_A=factors.Q_A, Q_S=factors.Q_S,
            indices=fold.indices, weights=fold.weights, inverse=fold.inverse,
        )  # fmt: skip


def _trace_bytes_per_token(card: ExportCard, itemsize: int) -> int:
    """Return the bytes of one token's inputs and gradients in all layers, and of its logits three times."""
    widths = {number: layer.d_in for number, layer in zip(card.inputs, card.layers, strict=True)}
    elements = sum(widths.values()) + sum(layer.d_out for layer in card.layers) + 3 * card.vocabulary_size
    return elements * itemsize


def _log_likelihood(log_p: FloatArray, query: TokenSequence) -> float:
    """Return Σ weights · log p over the positions that count."""
    weights = np.zeros(len(log_p))
    weights[: len(query.weights) - 1] = query.weights[1:]
    counts = weights != 0
    return float((log_p[counts].astype(np.float64) * weights[counts]).sum())


def _fold_uses(part: Float64Array, T: int) -> Float64Array:
    """Add up the uses of a module that was used several times: [Q, B, uses·T] → [Q, B, T]."""
    folded: Float64Array = part.reshape(*part.shape[:2], -1, T).sum(axis=2)
    return folded
