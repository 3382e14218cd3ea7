"""Several checkpoints of one training as one model, whose influences are the mean of theirs.

The mean over ``K`` checkpoints of Σ_ℓ ⟨(G + λ)⁻¹ ∇f, ∇L(z)⟩ at each is a sum over the layers of all of them, so they
are one model with the layers of each, its gradients divided by √K. Factors are those of each checkpoint's undivided
gradients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from whence.errors import MismatchError
from whence.reasons import Reason
from whence_backends.contract import LayerSpec, SelfCheck
from whence_backends.ekfac.batch import TokenBatch
from whence_backends.ekfac.head import Targets
from whence_backends.ekfac.language_model import TrackedLanguageModel
from whence_backends.ekfac.trace import TraceConsumer


class AveragedLanguageModel:
    """The tracked models of checkpoints, in the order of training, with the interface of one.

    Log-likelihoods are those of the last. Raises :class:`~whence.errors.MismatchError` (``CHECKPOINTS_MISMATCH``) for
    models with other layers or another vocabulary.
    """

    def __init__(self, models: Sequence[TrackedLanguageModel]) -> None:
        self.models = tuple(models)
        last = self.models[-1]
        for number, model in enumerate(self.models, start=1):
            require_alike(model.specs, last.specs, number)
        self.device, self.dtype, self.rotary_bounds = last.device, last.dtype, last.rotary_bounds
        self.specs = tuple(
            spec for number, model in enumerate(self.models, start=1) for spec in of_checkpoint(model.specs, number)
        )

    def trace(self, batch: TokenBatch, targets: Targets, consume: TraceConsumer) -> Tensor:
        """Run each model, pass its layers' (a, s/√K) to ``consume``, and return log p of each label by the last."""
        scale, first = 1 / math.sqrt(len(self.models)), 0
        for model in self.models:
            log_p = model.trace(batch, targets, _Scaled(consume, first, scale))
            first += len(model.specs)
        return log_p

    def data_targets(self, batch: TokenBatch) -> Targets:
        """Return the targets of the data: the next tokens."""
        return self.models[-1].data_targets(batch)

    def parameters(self) -> list[Tensor]:
        """Return the parameters of all models."""
        return [parameter for model in self.models for parameter in model.parameters()]


class _Scaled:
    """Passes traces on, of the layers from ``first`` on, with scaled output gradients."""

    def __init__(self, consume: TraceConsumer, first: int, scale: float) -> None:
        self._consume, self._first, self._scale = consume, first, scale

    def __call__(self, index: int, a: Tensor, s: Tensor) -> None:
        self._consume(self._first + index, a, s * self._scale)


def of_checkpoint(specs: Sequence[LayerSpec], number: int) -> tuple[LayerSpec, ...]:
    """Return the layers of the checkpoint with this number, from 1, by the names that they have among those of all."""
    return tuple(replace(spec, name=f"{spec.name}@{number}") for spec in specs)


def worst_check(checks: Sequence[SelfCheck]) -> SelfCheck:
    """Return the self-check of checkpoints: the largest error, and all idle layers, named by checkpoint if several."""
    if len(checks) == 1:
        return checks[0]
    numbered = list(enumerate(checks, start=1))
    number, worst = max(numbered, key=lambda check: check[1].gradient_error)
    return SelfCheck(
        gradient_error=worst.gradient_error,
        layer=f"{worst.layer}@{number}",
        idle=tuple(f"{name}@{number}" for number, check in numbered for name in check.idle),
    )


def require_alike(specs: Sequence[LayerSpec], last: Sequence[LayerSpec], number: int) -> None:
    """Raise ``MismatchError`` unless a checkpoint has the layers of the last."""
    if tuple(specs) != tuple(last):
        other = next((pair for pair in zip(specs, last, strict=False) if pair[0] != pair[1]), (len(specs), len(last)))
        raise MismatchError(
            f"checkpoint {number} has other tracked layers than the last ({other[0]}, not {other[1]}): expected "
            "checkpoints of one training",
            reason=Reason.CHECKPOINTS_MISMATCH,
            checkpoint=number,
        )
