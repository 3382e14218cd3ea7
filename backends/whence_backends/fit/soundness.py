"""Checks during a fit: values that are not finite, and layers that no gradient reaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from whence.errors import InvalidRequestError
from whence.reasons import Reason, WarningCode
from whence_backends.ekfac.damping import is_dead
from whence_backends.ekfac.factors import FactorsCard, lambda_file
from whence_backends.preflight import Finding


def require_finite(log_p: Tensor, stage: str, precision: str) -> None:
    """Raise :class:`~whence.errors.InvalidRequestError` unless all log-probabilities of a batch are finite."""
    if not bool(torch.isfinite(log_p).all()):
        raise InvalidRequestError(
            f"the model gives log-probabilities that are not numbers in {precision}, during {stage}; "
            f"{_wider(precision)}",
            reason=Reason.NON_FINITE_MODEL,
            field="precision",
        )


def require_finite_sums(layer: str, sums: Sequence[Tensor], precision: str) -> None:
    """Raise :class:`~whence.errors.InvalidRequestError` unless a layer's running sums are finite."""
    if not all(bool(torch.isfinite(total).all()) for total in sums):
        raise InvalidRequestError(
            f"the gradients of layer {layer} overflow in {precision}: their squares are not numbers; "
            f"{_wider(precision)}, or leave the layer out with --layers",
            reason=Reason.NON_FINITE_MODEL,
            field="precision",
        )


def dead_layers(card: FactorsCard, folder: Path, warn: Callable[[Finding], None]) -> tuple[str, ...]:
    """Return the layers whose Λ is 0, after warning about them.

    Raises :class:`~whence.errors.InvalidRequestError` (``MISSING_GRADIENTS``) if all layers are dead.
    """
    means = (float(load_file(folder / lambda_file(i))["Lambda"].double().mean()) for i in range(len(card.layers)))
    dead = [layer for layer, mean in zip(card.layers, means, strict=True) if is_dead(mean)]
    if len(dead) == len(card.layers):
        raise InvalidRequestError(
            f"no gradient reached any of the {len(dead)} tracked layers on {card.fitted_sequences:,} sequences: Λ is 0 "
            "everywhere, and nothing can be attributed. The model may be certain of every token, or what these layers "
            "give may be multiplied by 0; choose other layers, or look at the weights",
            reason=Reason.MISSING_GRADIENTS,
            field="layers",
        )
    if dead:
        named = ", ".join(layer.name for layer in dead[:3]) + (f" and {len(dead) - 3} more" if len(dead) > 3 else "")
        message = (
            f"no gradient reached {named}: what is behind is multiplied by 0, or the layer never ran. Influence "
            f"through it is 0, and {sum(layer.d_in * layer.d_out for layer in dead):,} parameters are not counted as "
            "attributed"
        )
        warn(Finding(reason=WarningCode.DEAD_LAYERS, message=message))
    return tuple(layer.name for layer in dead)


def _wider(precision: str) -> str:
    wider = {"bfloat16": "float32", "float32": "float64"}.get(precision)
    return f"try --precision {wider}, into another folder" if wider else "its weights, or the corpus, make it overflow"
