"""The batches in which the candidates of a call are scored, the most promising first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from whence_backends.batching import IndexArray, plan_batches
from whence_backends.contract import Float64Array
from whence_backends.worker.requests.sequences import sequence_not_held

# Batches are made by length within blocks of so many candidates of a shard: none waits for more than a block.
BLOCK: Final = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldShard:
    """The lengths in tokens of the sequences of a shard, from ``first_position`` on."""

    first_position: int
    lengths: NDArray[np.integer[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rescored:
    """Positions [n], their raw influences [Q, n], and the truncation error of each query's bounded rank, [Q]."""

    positions: IndexArray
    influence: Float64Array
    truncation_errors: tuple[float, ...] = ()


def plan_rescore(
    positions: Sequence[int], shards: Sequence[HeldShard], token_budget: int, block: int = BLOCK
) -> list[IndexArray]:
    """Return batches in which each position is once.

    Batches do not span shards, and the batches of a shard depend on its own positions and their order alone: a worker
    with one shard computes what a worker with all of them does, bit for bit. The first blocks of all shards come first.

    Raises :class:`~whence.errors.NotFoundError` for a position that is in none of the shards.
    """
    largest = max(positions, default=0)
    if largest > np.iinfo(np.int64).max:
        raise sequence_not_held(largest)
    wanted = np.array(list(dict.fromkeys(positions)), np.int64)
    held = np.zeros(len(wanted), bool)
    by_block: dict[int, list[IndexArray]] = {}
    for shard in shards:
        rows = wanted - shard.first_position
        within = (rows >= 0) & (rows < len(shard.lengths))
        held |= within
        inside, lengths = wanted[within], shard.lengths[rows[within]]
        for number, start in enumerate(range(0, len(inside), block)):
            part = inside[start : start + block]
            batches = plan_batches(lengths[start : start + block], token_budget)
            by_block.setdefault(number, []).extend(part[batch] for batch in batches)
    if not held.all():
        raise sequence_not_held(int(wanted[~held][0]))
    return [batch for number in sorted(by_block) for batch in by_block[number]]


def joined(parts: Sequence[Rescored]) -> Rescored:
    """Return the parts as one."""
    return Rescored(
        positions=np.concatenate([part.positions for part in parts]),
        influence=np.concatenate([part.influence for part in parts], axis=1),
        truncation_errors=parts[-1].truncation_errors,
    )
