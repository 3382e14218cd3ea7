"""Verifying an exported graph: it and the model compute the same random batches, and the errors are recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whence.errors import MismatchError
from whence.reasons import Reason
from whence_backends.contract import TokenSequence
from whence_backends.ekfac.batch import TokenBatch, collate
from whence_backends.ekfac.language_model import TrackedLanguageModel
from whence_backends.models.exported import (
    LABELS,
    LOG_P,
    TOKEN_IDS,
    WEIGHTS,
    Verification,
    gradient_name,
    input_name,
)
from whence_backends.models.shape import ModelShape

# Lengths of the sequences of each batch: all different, none used for tracing, one of them long.
BATCHES: Final = ((16,), (3, 24, 11), (256,))
# The largest error that rounding explains in each precision; a larger one means another function.
TOLERANCE: Final[Mapping[str, float]] = {"float64": 1e-3, "float32": 1e-2, "float16": 0.5}

Outputs = Mapping[str, NDArray[Any]]


def verify(
    model: TrackedLanguageModel, graph: Path, inputs: Sequence[int], precision: str, max_tokens: int
) -> Verification:
    """Compare the graph with the model, run with its own masks and autograd, and return the errors.

    Raises :class:`~whence.errors.MismatchError` (``EXPORT_MODEL_MISMATCH``) if they exceed what rounding explains.
    """
    session = _open(graph)
    vocabulary = ModelShape.of(model.model).vocabulary_size
    rng = np.random.default_rng(0)
    worst = {"log_p": 0.0, "inputs": 0.0, "gradients": 0.0}
    sequences = tokens = 0
    for lengths in BATCHES:
        batch = [_random_sequence(rng, min(length, max_tokens), vocabulary) for length in lengths]
        collated = collate(batch, model.device)
        errors = _compare(_traced(model, collated), _computed(session, collated), inputs)
        worst = {kind: max(worst[kind], errors[kind]) for kind in worst}
        sequences += len(batch)
        tokens += sum(len(sequence.token_ids) for sequence in batch)
    seen = Verification(sequences=sequences, tokens=tokens, **worst)
    if not seen.worst <= TOLERANCE[precision]:
        raise MismatchError(
            f"the exported graph is not the model: on random tokens its log-probabilities differ by {seen.log_p:.1e}, "
            f"layer inputs by {seen.inputs:.1e} and output gradients by {seen.gradients:.1e} of the largest; "
            f"expected at most {TOLERANCE[precision]:.0e} in {precision}. Serve the model with --engine pytorch",
            reason=Reason.EXPORT_MODEL_MISMATCH,
        )
    return seen


def _random_sequence(rng: np.random.Generator, length: int, vocabulary: int) -> TokenSequence:
    weights = rng.uniform(0.5, 1.5, length).astype(np.float32)
    weights[0] = 0
    return TokenSequence(token_ids=rng.integers(0, vocabulary, length).astype(np.int32), weights=weights)


def _open(graph: Path) -> Any:  # noqa: ANN401 - onnxruntime has no types
    import onnxruntime

    return onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])


def _traced(model: TrackedLanguageModel, batch: TokenBatch) -> dict[str, Tensor]:
    """Return the model's own tensors, as traced by :class:`~whence_backends.ekfac.trace.Tracer`."""
    tensors: dict[str, Tensor] = {}

    def consume(index: int, a: Tensor, s: Tensor) -> None:
        tensors[f"a of layer {index}"], tensors[gradient_name(index)] = a, s

    tensors[LOG_P] = model.trace(batch, model.data_targets(batch), consume)
    return tensors


def _computed(session: Any, batch: TokenBatch) -> Outputs:  # noqa: ANN401
    names = [output.name for output in session.get_outputs()]
    wide = {"tensor(double)": np.float64, "tensor(float)": np.float32}
    kind = next(wide[argument.type] for argument in session.get_inputs() if argument.name == WEIGHTS)
    feeds = {
        TOKEN_IDS: batch.inputs.cpu().numpy(),
        LABELS: batch.labels.cpu().numpy(),
        WEIGHTS: batch.weights.cpu().numpy().astype(kind),
    }
    return dict(zip(names, session.run(names, feeds), strict=True))


def _compare(want: Mapping[str, Tensor], got: Outputs, inputs: Sequence[int]) -> dict[str, float]:
    log_p = torch.where(want[LOG_P] == 0, want[LOG_P], torch.from_numpy(got[LOG_P]).to(want[LOG_P]))
    layers = range(len(inputs))
    return {
        "log_p": _distance(want[LOG_P], log_p.cpu().numpy()),
        "inputs": max(_distance(want[f"a of layer {i}"], got[input_name(inputs[i])]) for i in layers),
        "gradients": max(_distance(want[gradient_name(i)], got[gradient_name(i)]) for i in layers),
    }


def _distance(want: Tensor, got: NDArray[Any]) -> float:
    """Return the largest difference relative to the largest value, or infinity if any value is not finite."""
    expected = want.detach().double().cpu().numpy()
    if got.shape != expected.shape or not np.isfinite(got).all():
        return float("inf")
    return float(np.abs(got - expected).max() / max(np.abs(expected).max(), np.finfo(np.float64).tiny))
