"""Check: which part of the model do influences go through, and are its gradients right?"""

from __future__ import annotations

from dataclasses import dataclass

from whence_backends.ekfac.factors import Factors


@dataclass(frozen=True, kw_only=True)
class Unattributed:
    """Parameters outside the tracked layers, of a kind of module."""

    kind: str
    parameters: int


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The parameters of the model, those that influences go through, and those that they do not, most first.

    ``gradient_error`` is the largest error of a tracked layer's gradient against autograd's, relative to its norm, and
    ``gradient_layer`` the layer that has it; both are ``None`` for factors that were fitted without that check.
    """

    parameters: int
    attributed: int
    unattributed: tuple[Unattributed, ...]
    dead_layers: tuple[str, ...]
    gradient_error: float | None
    gradient_layer: str | None


def coverage(factors: Factors) -> Coverage:
    """Return the check, from the card of the served factors."""
    card, check = factors.card, factors.card.self_check
    kinds = sorted(card.unattributed.items(), key=lambda item: -item[1])
    return Coverage(
        parameters=card.parameters,
        attributed=card.attributed_parameters,
        unattributed=tuple(Unattributed(kind=kind, parameters=count) for kind, count in kinds),
        dead_layers=factors.dead_layers(),
        gradient_error=None if check is None else check.gradient_error,
        gradient_layer=None if check is None else check.layer,
    )
