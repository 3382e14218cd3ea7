"""The ``pytorch`` engine: any Hugging Face causal language model, on CUDA or CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from whence.errors import UnimplementedError
from whence.reasons import Reason
from whence_backends.batching import IndexArray, apart, probe_sequences
from whence_backends.contract import (
    Detail,
    EngineConfig,
    EngineInfo,
    Float64Array,
    LayerGradient,
    QueryGradient,
    SelfCheck,
    Sketches,
    SketchPlan,
    TokenSequence,
)
from whence_backends.ekfac.averaged import AveragedLanguageModel, worst_check
from whence_backends.ekfac.batch import collate
from whence_backends.ekfac.factors import Factors
from whence_backends.ekfac.influence import Queries, layer_scores, precondition, precondition_low_rank
from whence_backends.ekfac.language_model import TrackedLanguageModel
from whence_backends.ekfac.layer_factors import LayerFactors
from whence_backends.ekfac.low_rank import expected_error
from whence_backends.ekfac.preconditioned import Preconditioned
from whence_backends.ekfac.rotation import rotate_tokens
from whence_backends.ekfac.self_check import check_model
from whence_backends.ekfac.sketches import PreparedFold, add_sketches
from whence_backends.ekfac.storage import Compressed, compress, relative_error
from whence_backends.ekfac.torch_arrays import TorchArrays
from whence_backends.engines.checks import require_known_options, require_valid
from whence_backends.models.shape import ModelShape
from whence_backends.models.source import ModelSource, resolve_model
from whence_backends.models.torch_loading import load_causal_lm
from whence_backends.models.tracked import coverage, track


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedSketches:
    """A plan's folds on the device."""

    width: int
    folds: list[PreparedFold]


def create(config: EngineConfig) -> PytorchEngine:
    """Load the model and the factors. Raises if they do not belong together."""
    require_known_options("pytorch", config.options)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    source = resolve_model(config.model)
    factors = Factors.open(config.factors)
    factors.require_model(source.digest, config.model)
    loaded = [_load(checkpoint, config, factors.card.tracked) for checkpoint in source.checkpoints or (source,)]
    models = [checkpoint.model for checkpoint in loaded]
    tracked = AveragedLanguageModel(models) if source.checkpoints else models[0]
    factors.require_layers(tracked.specs)
    shape = ModelShape.of(models[-1].model)
    info = EngineInfo(
        engine="pytorch",
        precision=config.precision,
        device=str(tracked.device),
        layers=tracked.specs,
        max_tokens=shape.max_tokens,
        vocabulary_size=shape.vocabulary_size,
        parameters=sum(checkpoint.parameters for checkpoint in loaded),
        model_digest=source.digest,
        factors_digest=factors.digest,
        dead_layers=factors.dead_layers(),
        self_check=worst_check([checkpoint.check for checkpoint in loaded]),
    )
    return PytorchEngine(tracked, factors, info, config.query_rank)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Loaded:
    """A model with its tracked layers, the number of all its parameters, and its self-check."""

    model: TrackedLanguageModel
    parameters: int
    check: SelfCheck


def _load(source: ModelSource, config: EngineConfig, tracked: str) -> _Loaded:
    module = load_causal_lm(source, config.precision, config.device)
    layers = track(module, tracked)
    model, shape = TrackedLanguageModel(module, layers), ModelShape.of(module)
    return _Loaded(
        model=model,
        parameters=coverage(module, layers).parameters,
        check=check_model(model, probe_sequences(shape.vocabulary_size, shape.max_tokens)),
    )


class PytorchEngine:
    """See :class:`~whence_backends.contract.SketchingEngine` and :class:`~whence_backends.contract.LowRankEngine`.

    Factors stay in float32 (float64 for a float64 engine).
    """

    def __init__(
        self,
        model: TrackedLanguageModel | AveragedLanguageModel,
        factors: Factors,
        info: EngineInfo,
        query_rank: int | None,
    ) -> None:
        self._model = model
        self._info = info
        self._query_rank = query_rank
        self._wide = torch.float64 if model.dtype == torch.float64 else torch.float32
        self._arrays = TorchArrays(dtype=self._wide, device=model.device)
        self._factors = [self._load(factors, index) for index in range(len(info.layers))]

    @property
    def info(self) -> EngineInfo:
        """What this engine is and holds."""
        return self._info

    @property
    def traced(self) -> TrackedLanguageModel | AveragedLanguageModel:
        """The model, or the checkpoints as one, with the tracked layers."""
        return self._model

    @property
    def model(self) -> TrackedLanguageModel:
        """The model and its tracked layers. Raises ``UnimplementedError`` for several checkpoints."""
        if isinstance(self._model, AveragedLanguageModel):
            raise UnimplementedError(
                f"this is about one model, and the engine has {len(self._model.models)} checkpoints: name one of them",
                reason=Reason.UNSUPPORTED_CHECKPOINTS,
            )
        return self._model

    def with_factors(self, factors: Factors) -> PytorchEngine:
        """Return an engine of the same model, which both hold, with other factors.

        Raises :class:`~whence.errors.MismatchError` if they are not of this model and its tracked layers.
        """
        factors.require_model(self._info.model_digest, factors.card.model)
        factors.require_layers(self._model.specs)
        info = replace(self._info, factors_digest=factors.digest, dead_layers=factors.dead_layers())
        return PytorchEngine(self._model, factors, info, self._query_rank)

    def query_gradients(self, queries: Sequence[TokenSequence]) -> list[QueryGradient]:
        """Return each query's rotated gradient, from one pass per query, so that it does not depend on the others."""
        return [self._query_gradient(query) for query in queries]

    def precondition(self, gradients: Sequence[QueryGradient], damping_factor: float) -> Preconditioned[Tensor]:
        """Return V [Q, D_out, D_in] of each layer."""
        layers: list[Queries] = []
        for index, factors in enumerate(self._factors):
            pairs = (self._placed(gradient.layers[index]) for gradient in gradients)
            layers.append(torch.stack([precondition(left, right, factors, damping_factor) for left, right in pairs]))
        return Preconditioned(queries=len(gradients), layers=layers)

    def precondition_low_rank(
        self, gradients: Sequence[QueryGradient], damping_factor: float, rank: int
    ) -> tuple[Preconditioned[Tensor], Float64Array]:
        """Return V of each layer truncated to ``rank``, and the relative error of each query's influences."""
        layers: list[Queries] = []
        errors, norms = np.zeros((2, len(self._factors), len(gradients)))
        for index, factors in enumerate(self._factors):
            pairs = [self._placed(gradient.layers[index]) for gradient in gradients]
            queries, errors[index], norms[index] = precondition_low_rank(pairs, factors, damping_factor, rank)
            layers.append(queries)
        return Preconditioned(queries=len(gradients), layers=layers), expected_error(errors, norms)

    def score(
        self, preconditioned: Preconditioned[Tensor], sequences: Sequence[TokenSequence], detail: Detail = Detail.TOTAL
    ) -> Float64Array:
        """Return raw influences, in the shape of ``detail``."""
        require_valid(sequences, self._info)
        longest = max(len(sequence.token_ids) for sequence in sequences)
        order, batches = self._batches(sequences)
        scored = [self._score(preconditioned, batch, detail, longest) for batch in batches]
        return np.concatenate(scored, axis=1)[:, order]

    def _score(
        self, preconditioned: Preconditioned[Tensor], sequences: Sequence[TokenSequence], detail: Detail, longest: int
    ) -> Float64Array:
        """Return the influences of one batch, padded to ``longest`` tokens if split by token."""
        batch = collate(sequences, self._model.device)
        by_layer: list[Tensor | None] = [None] * len(self._factors)

        def consume(index: int, a: Tensor, s: Tensor) -> None:
            by_layer[index] = layer_scores(preconditioned.layers[index], a, s, detail)

        self._model.trace(batch, self._model.data_targets(batch), consume)
        Q, (B, T) = preconditioned.queries, batch.inputs.shape
        shape = (Q, B, T) if detail is Detail.LAYERS_TOKENS else (Q, B)
        parts = [_fold_uses(part, T) if part is not None else batch.weights.new_zeros(shape) for part in by_layer]
        return _arrange(parts, detail, longest)

    def prepare_sketches(self, plan: SketchPlan) -> PreparedSketches:
        """Place the plan's folds beside the factors."""
        pairs = zip(plan.folds, self._factors, strict=True)
        folds = [PreparedFold.of(fold, factors, plan.damping_factor) for fold, factors in pairs]
        return PreparedSketches(width=plan.width, folds=folds)

    def sketch(self, prepared: PreparedSketches, sequences: Sequence[TokenSequence]) -> Sketches:
        """Return the sketches of sequences, after one forward and backward pass."""
        require_valid(sequences, self._info)
        order, batches = self._batches(sequences)
        sketches = [self._sketch(prepared, batch) for batch in batches]
        return Sketches(
            values=np.concatenate([part.values for part in sketches])[order],
            self_influence=np.concatenate([part.self_influence for part in sketches])[order],
        )

    def _sketch(self, prepared: PreparedSketches, sequences: Sequence[TokenSequence]) -> Sketches:
        batch = collate(sequences, self._model.device)
        values = torch.zeros(len(sequences), prepared.width, dtype=self._wide, device=self._model.device)
        self_influence = torch.zeros(len(sequences), dtype=torch.float64, device=self._model.device)

        def consume(index: int, a: Tensor, s: Tensor) -> None:
            add_sketches(values, self_influence, a, s, self._factors[index], prepared.folds[index])

        self._model.trace(batch, self._model.data_targets(batch), consume)
        return Sketches(values=values.cpu().numpy(), self_influence=self_influence.cpu().numpy())

    def device_memory_bytes(self) -> int:
        """Return the bytes that torch has allocated on a GPU; on a CPU the size of the model and the factors."""
        if self._model.device.type == "cuda":
            return torch.cuda.memory_allocated(self._model.device)
        tensors: list[Tensor] = [*self._model.parameters()]
        tensors += [tensor for factors in self._factors for tensor in (factors.Q_A, factors.Q_S, factors.Lambda)]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def close(self) -> None:
        """Release the model and the factors."""
        self._factors.clear()
        del self._model
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _batches(self, sequences: Sequence[TokenSequence]) -> tuple[IndexArray, list[list[TokenSequence]]]:
        """Return sequences as batches that may be computed together, and the permutation that restores their order."""
        parts = apart([len(sequence.token_ids) for sequence in sequences], self._model.rotary_bounds)
        return np.argsort(np.concatenate(parts)), [[sequences[i] for i in part] for part in parts]

    def _load(self, factors: Factors, index: int) -> LayerFactors[Tensor]:
        arrays = factors.layer(index)
        Q_A, Q_S, Lambda = (torch.from_numpy(array).to(self._model.device, self._wide) for array in arrays)
        return LayerFactors(Q_A=Q_A, Q_S=Q_S, Lambda=Lambda, mean=float(Lambda.mean()))

    def _query_gradient(self, query: TokenSequence) -> QueryGradient:
        require_valid([query], self._info)
        batch = collate([query], self._model.device)
        stored: dict[int, Compressed[Tensor]] = {}

        def consume(index: int, a: Tensor, s: Tensor) -> None:
            factors = self._factors[index]
            left, right = rotate_tokens(a[0].to(self._wide), s[0].to(self._wide), factors.Q_A, factors.Q_S)
            stored[index] = compress(left, right, self._query_rank, self._arrays)

        log_p = self._model.trace(batch, self._model.data_targets(batch), consume)
        return QueryGradient(
            layers=tuple(self._layer_gradient(index, stored.get(index)) for index in range(len(self._factors))),
            log_likelihood=float((log_p * batch.weights).sum()),
            truncation_error=relative_error(list(stored.values())),
        )

    def _layer_gradient(self, index: int, stored: Compressed[Tensor] | None) -> LayerGradient:
        if stored is None:  # the layer took no part in the measurement
            spec, kind = self._info.layers[index], np.float64 if self._wide == torch.float64 else np.float32
            return LayerGradient(left=np.zeros((1, spec.d_out), kind), right=np.zeros((1, spec.d_in), kind))
        return LayerGradient(left=stored.left.cpu().numpy(), right=stored.right.cpu().numpy())

    def _placed(self, gradient: LayerGradient) -> tuple[Tensor, Tensor]:
        left, right = (
            torch.tensor(x, dtype=self._wide, device=self._model.device) for x in (gradient.left, gradient.right)
        )
        return left, right


def _fold_uses(part: Tensor, T: int) -> Tensor:
    """Add up the uses of a module that was used several times: [Q, B, uses·T] → [Q, B, T]."""
    if part.dim() == 2 or part.shape[2] == T:
        return part
    return part.view(*part.shape[:2], -1, T).sum(dim=2)


def _arrange(parts: list[Tensor], detail: Detail, longest: int) -> Float64Array:
    """Stack layers as [Q, B, L(, T)] and sum over axes that were not requested. Layers are summed in float64."""
    stacked = torch.stack(parts, dim=2)
    if detail is Detail.TOTAL:
        stacked = stacked.sum(dim=2)
    array: Float64Array = stacked.cpu().numpy()
    if detail is Detail.LAYERS_TOKENS:  # the last token is never an input: its part is 0
        array = np.pad(array, [(0, 0)] * 3 + [(0, max(0, longest - array.shape[3]))])[..., :longest]
    return array
