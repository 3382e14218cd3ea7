"""Which part of a text to show, and how layers are summed for showing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from whence.results import TokenInfluence

EXCERPT_CHARACTERS: Final = 480


class Excerpt(NamedTuple):
    """An excerpt of a text: characters ``start`` to ``end``."""

    start: int
    end: int


def excerpt(text: str, tokens: Sequence[TokenInfluence] | None, limit: int = EXCERPT_CHARACTERS) -> Excerpt:
    """Return the excerpt of at most ``limit`` characters with the most influence; without any, the beginning."""
    tokens = tokens or ()
    sizes = [abs(token.influence) if math.isfinite(token.influence) else 0.0 for token in tokens]
    best, weight, first = (0.0, 0, 0), 0.0, 0
    for last, token in enumerate(tokens):
        weight += sizes[last]
        while first < last and token.end - tokens[first].start > limit:
            weight -= sizes[first]
            first += 1
        if weight > best[0]:
            best = (weight, tokens[first].start, token.end)
    middle = (best[1] + best[2]) // 2
    start = max(0, min(middle - limit // 2, len(text) - limit))
    return Excerpt(start, min(start + limit, len(text)))


def by_depth(layers: Mapping[str, float]) -> dict[str, float]:
    """Return influences summed over the layers of each depth, in order. A layer without a depth has its own entry.

    The depth is the first number in a layer's name: 3 in ``model.layers.3.mlp.down_proj``.
    """
    sums: dict[str, float] = {}
    for name, influence in layers.items():
        depth = re.search(r"(?<![^.])\d+(?![^.])", name)
        key = depth.group() if depth else name
        sums[key] = sums.get(key, 0.0) + influence
    return sums
