"""The self-check of a model on a short random batch, before anything is computed with it.

The gradient of each tracked layer is computed twice, from its traces in a padded batch and by autograd on the weights
themselves, one sequence at a time; both must agree. The check also ensures that no position attends to later tokens and
that a sequence does not depend on its batch. It costs a few short passes, and holds one layer's gradient at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.contract import SelfCheck, TokenSequence
from whence_backends.ekfac.batch import collate
from whence_backends.ekfac.language_model import TrackedLanguageModel
from whence_backends.ekfac.trace import TrackedLayer, arrangement, leaving_out, not_by_sequence

# Takes a layer's index, ``weight`` or ``bias``, and that parameter's gradient.
Comparison = Callable[[int, str, Tensor], None]


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The bounds on rounding in a precision: of a layer's gradient, relative to its norm, and of logits.

    ``same_shape`` bounds logits of batches of the same shape, ``logits`` those of different shapes, which use other
    kernels.
    """

    gradient: float
    logits: float
    same_shape: float


# Models compute parts of themselves in float32 whatever the type of their weights, including float64.
BOUNDS: Final[Mapping[torch.dtype, Bounds]] = {
    torch.float64: Bounds(gradient=1e-4, logits=1e-5, same_shape=1e-6),
    torch.float32: Bounds(gradient=2e-3, logits=1e-4, same_shape=1e-5),
    torch.bfloat16: Bounds(gradient=0.3, logits=0.1, same_shape=0.02),
    torch.float16: Bounds(gradient=0.05, logits=0.02, same_shape=0.005),
}


def check_model(model: TrackedLanguageModel, sequences: Sequence[TokenSequence]) -> SelfCheck:
    """Check the model on a short batch (:func:`~whence_backends.batching.probe_sequences`), and return the result.

    Raises :class:`~whence.errors.InvalidRequestError`: ``NON_FINITE_MODEL``, ``MODEL_NOT_CAUSAL``,
    ``MODEL_NOT_BATCHABLE``, and ``LAYER_GRADIENT_MISMATCH``, which names the layers and a pattern without them;
    :class:`~whence.errors.UnimplementedError`: ``UNSUPPORTED_LAYER``, likewise.
    """
    bounds = BOUNDS[model.dtype]
    with torch.no_grad():
        _require_finite_and_causal(model, sequences[0], bounds)
        _require_independent_of_batch(model, sequences, bounds)
        _require_by_sequence(model, sequences)
    errors = gradient_errors(model, sequences)
    _require_small(model.layers, errors, bounds)
    worst = max(errors, key=lambda error: error.relative)
    idle = tuple(error.name for error in errors if error.idle)
    # In two digits: the others are rounding, which differs between processors.
    return SelfCheck(gradient_error=float(f"{worst.relative:.1e}"), layer=worst.name, idle=idle)


def gradient_norms(model: TrackedLanguageModel, sequences: Sequence[TokenSequence]) -> tuple[float, ...]:
    """Return the Frobenius norm of each layer's gradients of ``sequences``, stacked, by autograd."""
    squares = np.zeros(len(model.layers))

    def add(index: int, _kind: str, gradient: Tensor) -> None:
        squares[index] += _squared_norm(gradient)

    for sequence in sequences:
        with _compared(model.layers, add, set()):
            _backward(model, sequence)
    return tuple(np.sqrt(squares).tolist())


@dataclass(frozen=True, kw_only=True)
class LayerError:
    """The error of one layer's traced gradient against autograd's, relative to the larger Frobenius norm of the two.

    A gradient that vanishes beside those of other layers is rounding of theirs, and its error is relative to them.
    ``traced``: its module was called. ``idle``: it was not, and its weight has no gradient either.
    """

    name: str
    relative: float
    traced: bool
    idle: bool


def gradient_errors(model: TrackedLanguageModel, sequences: Sequence[TokenSequence]) -> list[LayerError]:
    """Return each tracked layer's error: traces of ``sequences`` in one batch against autograd on each alone."""
    batch = collate(sequences, model.device)
    traces: dict[int, tuple[Tensor, Tensor]] = {}
    model.trace(batch, model.data_targets(batch), lambda index, a, s: traces.__setitem__(index, (a, s)))
    differences, norms = np.zeros(len(model.layers)), np.zeros(len(model.layers))

    def compare(row: int, index: int, kind: str, gradient: Tensor) -> None:
        want = gradient if gradient.dtype == torch.float64 else gradient.float()
        got = _gradient(traces.get(index), row, kind, want, transposed=_transposed(model.layers[index].module))
        differences[index] += _squared_norm(got - want)
        norms[index] += max(_squared_norm(want), _squared_norm(got))

    seen: set[int] = set()
    for row, sequence in enumerate(sequences):
        with _compared(model.layers, partial(compare, row), seen):
            _backward(model, sequence)
    for index in traces.keys() - seen:  # traced, but without a gradient of its weight
        a, s = traces[index]
        norms[index] = differences[index] = _squared_norm(s.transpose(1, 2) @ a)
    rounding = 4 * torch.finfo(model.dtype).eps * float(np.sqrt(norms.mean()))
    errors = np.sqrt(differences) / np.maximum(np.sqrt(norms), max(rounding, 1e-300))
    return [
        LayerError(
            name=layer.spec.name,
            relative=float(errors[index]) if index in traces else float(norms[index] > 0),
            traced=index in traces,
            idle=index not in traces and not norms[index] > 0,
        )
        for index, layer in enumerate(model.layers)
    ]


def _require_finite_and_causal(model: TrackedLanguageModel, sequence: TokenSequence, bounds: Bounds) -> None:
    """Change a later token, at the end and in the middle, and compare the logits before it."""
    ids = torch.from_numpy(sequence.token_ids.astype(np.int64)).to(model.device)
    changes = sorted({len(ids) // 2, len(ids) - 1} - {0})
    rows = torch.stack([ids, *(_changed(ids, place) for place in changes)])
    logits = _logits(model, rows)
    if not bool(torch.isfinite(logits).any(dim=-1).all()) or bool(torch.isnan(logits).any()):
        raise InvalidRequestError(
            f"the model gives logits that are not numbers on random tokens, in {_precision(model)}: its weights are "
            "broken, or overflow in this precision; load the model by itself and look at its output, or try "
            "--precision float32",
            reason=Reason.NON_FINITE_MODEL,
            field="model",
        )
    for row, place in enumerate(changes, start=1):
        apart = _distance(logits[row, :place], logits[0, :place])
        if not apart <= bounds.same_shape:
            raise InvalidRequestError(
                f"the model looks at later tokens: when token {place + 1} of {len(ids)} changed, logits before it "
                f"changed by {apart:.1e} of the largest. Expected a causal (decoder-only) language model; look for "
                "is_decoder, is_causal or a bidirectional attention in its config.json",
                reason=Reason.MODEL_NOT_CAUSAL,
                field="model",
            )


def _changed(ids: Tensor, place: int) -> Tensor:
    """Return ``ids`` with the tokens from ``place`` on replaced by other ones."""
    other = ids.clone()
    other[place:] = torch.where(ids[place:] == ids[0], ids.min().where(ids.min() != ids[0], ids.max()), ids[0])
    return other


def _require_independent_of_batch(
    model: TrackedLanguageModel, sequences: Sequence[TokenSequence], bounds: Bounds
) -> None:
    """Compare each sequence alone with itself in a batch with a longer one."""
    together = _logits(model, collate(sequences, model.device).inputs)
    for row, sequence in enumerate(sequences):
        alone = _logits(model, collate([sequence], model.device).inputs)[0]
        apart = _distance(together[row, : len(alone)], alone)
        if not apart <= bounds.logits:
            raise InvalidRequestError(
                f"what the model says of a sequence depends on the sequences beside it: logits change by {apart:.1e} "
                "of the largest when it is padded in a batch. An influence would depend on its company; such a model "
                "cannot be attributed",
                reason=Reason.MODEL_NOT_BATCHABLE,
                field="model",
            )


def _require_by_sequence(model: TrackedLanguageModel, sequences: Sequence[TokenSequence]) -> None:
    """Check the arrangement of the tokens in every tracked layer, and name all unsupported layers at once."""
    ids = collate(sequences, model.device).inputs
    wrong: dict[str, str] = {}

    def look(name: str, _module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:  # noqa: ANN401
        reason = arrangement(inputs[0], output, (ids.shape[0], ids.shape[1]))
        if reason is not None:
            wrong[name] = reason

    handles = [layer.module.register_forward_hook(partial(look, layer.spec.name)) for layer in model.layers]
    try:
        _logits(model, ids)
    finally:
        for handle in handles:
            handle.remove()
    if wrong:
        raise not_by_sequence([layer.spec.name for layer in model.layers], wrong)


def _require_small(layers: Sequence[TrackedLayer], errors: Sequence[LayerError], bounds: Bounds) -> None:
    wrong = [error for error in errors if not error.relative <= bounds.gradient]
    if not wrong:
        return
    worst = max(wrong, key=lambda error: error.relative)
    named = ", ".join(error.name for error in wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
    advice = leaving_out([error.name for error in errors], [error.name for error in wrong])
    raise InvalidRequestError(
        f"the gradients of {named} that their inputs and outputs give are not autograd's: {worst.name} is off by "
        f"{worst.relative:.1e}, expected at most {bounds.gradient:.0e}. Likely because {_cause(layers, errors, worst)}"
        f"; {advice}",
        reason=Reason.LAYER_GRADIENT_MISMATCH,
        field="layers",
    )


def _cause(layers: Sequence[TrackedLayer], errors: Sequence[LayerError], worst: LayerError) -> str:
    index = [layer.spec.name for layer in layers].index(worst.name)
    sharing = _sharing(layers, index)
    if not worst.traced:
        return "the model uses its weight without calling the layer (a fused kernel, or a product written out)"
    if sharing:
        return f"it shares its weight with {sharing}, so that neither has a gradient of its own"
    if all(error.relative > 0 for error in errors) and min(error.relative for error in errors) > worst.relative / 100:
        return "what follows the last layer is not what it is taken for (a fused head, a scale or a cap of logits)"
    return "its weight takes part elsewhere too, or its output is changed where no hook sees it (a fused kernel)"


def _sharing(layers: Sequence[TrackedLayer], index: int) -> str:
    own = {id(parameter) for parameter in layers[index].module.parameters(recurse=False)}
    others = (
        layer.spec.name
        for other, layer in enumerate(layers)
        if other != index and own & {id(parameter) for parameter in layer.module.parameters(recurse=False)}
    )
    return ", ".join(others)


@contextmanager
def _compared(layers: Sequence[TrackedLayer], compare: Comparison, seen: set[int]) -> Iterator[None]:
    """Pass each of autograd's gradients to ``compare`` and drop it; add the layers that have one to ``seen``."""
    readers: dict[nn.Parameter, list[tuple[int, str]]] = defaultdict(list)
    for index, layer in enumerate(layers):
        for kind, parameter in layer.module.named_parameters(recurse=False):
            readers[parameter].append((index, kind))

    def hand_over(uses: list[tuple[int, str]], parameter: Tensor) -> None:
        assert parameter.grad is not None
        for index, kind in uses:
            compare(index, kind, parameter.grad)
            seen.add(index)
        parameter.grad = None

    handles = []
    try:
        for parameter, uses in readers.items():
            parameter.requires_grad_(True)
            hook = partial(hand_over, uses)
            handles.append(parameter.register_post_accumulate_grad_hook(hook))  # type: ignore[no-untyped-call]
        with torch.enable_grad():
            yield
    finally:
        for handle in handles:
            handle.remove()
        for parameter in readers:
            parameter.requires_grad_(False)
            parameter.grad = None


def _backward(model: TrackedLanguageModel, sequence: TokenSequence) -> None:
    """Differentiate Σ weight · log p of one sequence through the whole model's own forward pass."""
    batch = collate([sequence], model.device)
    logits = _logits(model, batch.inputs)
    wide = logits if logits.dtype == torch.float64 else logits.float()
    log_p = torch.log_softmax(wide, dim=-1).gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1)
    value = torch.where(batch.valid, log_p * batch.weights.to(wide.dtype), 0).sum()
    if value.requires_grad:  # otherwise no layer takes part
        value.backward()  # type: ignore[no-untyped-call]


def _logits(model: TrackedLanguageModel, ids: Tensor) -> Tensor:
    logits: Tensor = model.model(input_ids=ids, use_cache=False).logits
    return logits


def _gradient(trace: tuple[Tensor, Tensor] | None, row: int, kind: str, like: Tensor, *, transposed: bool) -> Tensor:
    """Return the part of one sequence's traced gradient that belongs to ``weight`` or ``bias``, shaped ``like`` it."""
    if trace is None:
        return torch.zeros_like(like)
    a, s = (x[row].to(like.dtype) for x in trace)
    if kind == "bias":
        return s.sum(dim=0)
    width = like.shape[0] if transposed else like.shape[1]
    G = s.T @ a[:, :width]
    return G.T if transposed else G


def _transposed(module: nn.Module) -> bool:
    return not isinstance(module, nn.Linear)  # GPT-2's Conv1D holds [D_in, D_out]


def _squared_norm(x: Tensor) -> float:
    return float(x.square().sum(dtype=torch.float64))


def _distance(got: Tensor, want: Tensor) -> float:
    """Return the largest difference relative to the largest value; equal infinities do not differ."""
    apart = torch.where(got == want, 0, (got - want).abs()).double()
    scale = torch.where(want.isfinite(), want.abs(), 0).max().double()
    return float(apart.max() / scale.clamp_min(1e-30))


def _precision(model: TrackedLanguageModel) -> str:
    return str(model.dtype).removeprefix("torch.")
