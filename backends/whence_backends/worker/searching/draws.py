"""Draws of sequences, uniform and without replacement, that do not depend on how the corpus is cut into shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whence_backends.worker.searching.group_sums import smallest, uniform


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """Positions and their priorities, the smallest first, [n] each; drawn from ``searched`` sequences."""

    positions: NDArray[np.int64]
    priorities: NDArray[np.float64]
    searched: int


def draw(parts: Sequence[NDArray[np.int64]], count: int, seed: int) -> Drawn:
    """Return the ``count`` positions with the smallest priorities, of the positions of each shard, ascending. Pure.

    The priority of a position depends on the seed and on itself alone, so that the draw of several shards is the best
    of their draws, and a smaller draw the beginning of a larger one.
    """
    positions = np.concatenate(parts)
    priorities = np.concatenate([uniform(part, seed) for part in parts])
    best = smallest(priorities, positions, count)
    return Drawn(positions=positions[best], priorities=priorities[best], searched=len(positions))
