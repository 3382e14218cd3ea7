"""A source of query gradients: the interface that computing, caching and single flight have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from whence_backends.contract import LayerGradient, QueryGradient, TokenSequence
from whence_service.rpc.stages import Stopwatch


@dataclass(frozen=True, kw_only=True)
class NamedQuery:
    """A query, the key of its gradient, and the key material, which a cached gradient carries to prove whose it is."""

    tokens: TokenSequence
    key: str
    material: bytes


@dataclass(frozen=True, kw_only=True)
class NamedGradient:
    """The gradient of a query, and its key."""

    key: str
    gradient: QueryGradient


class GradientSource(Protocol):
    """Provides the gradients of queries. A query has the same bits whichever source they come from, and when."""

    async def get(self, query: NamedQuery, stopwatch: Stopwatch) -> NamedGradient:
        """Return the gradient of ``query``, or raise what the engine raised. The time it takes goes to ``stopwatch``.

        A caller may be cancelled, which takes nothing from other callers.
        """
        ...


def through_layers(named: NamedGradient, layers: Sequence[int]) -> NamedGradient:
    """Return the gradient with zeros in all layers but the given ones, under a key of its own. No layers: all of them.

    The influence through some layers is the influence of this gradient.
    """
    if not layers:
        return named
    kept = set(layers)
    parts = tuple(
        part if index in kept else LayerGradient(left=0 * part.left[:1], right=0 * part.right[:1])
        for index, part in enumerate(named.gradient.layers)
    )
    name = f"{named.key}/layers={','.join(map(str, sorted(kept)))}"
    return NamedGradient(key=name, gradient=replace(named.gradient, layers=parts))
