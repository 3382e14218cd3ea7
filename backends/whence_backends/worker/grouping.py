"""What the index says of groups of sequences, and the draw by which what it says is corrected.

A sum of estimates is off by as much as the estimates are, and these leave out the coordinates that the index does not
keep. So some sequences are scored exactly: drawn with probabilities in proportion to how far their estimate may be off,
by priority sampling (Duffield, Lund and Thorup, JACM 2007), whose draw over shards is the best of each shard's draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence.errors import InvalidRequestError
from whence_backends.corpus import Corpus
from whence_backends.corpus.groups import GroupedRows

# More groups than these are no summary: ask for fewer, or filter.
MAX_GROUPS: Final = 10_000
_KEPT: Final = 4
# A sequence's scale is the standard error of its estimate, and this share of the estimate, which the coordinates that
# the index does not keep may add or take.
_SHARE_OFF: Final = 1.0
# No scale is less than this share of their mean: every sequence has a chance.
_LEAST: Final = 1e-3

Float64Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class RowEstimates:
    """What the index says of some rows of a shard, one each, [n]: positions, estimated influences, standard errors."""

    positions: NDArray[np.int64]
    groups: NDArray[np.int32]
    estimates: Float64Array
    errors: Float64Array


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupSums:
    """Sums over groups, [G] each, and the rows that were drawn, smallest priority first, [n] each."""

    names: tuple[str, ...]
    sequences: NDArray[np.int64]
    estimate: Float64Array
    scale: Float64Array
    squared_scale: Float64Array
    drawn: NDArray[np.int64]  # positions
    drawn_group: NDArray[np.int64]
    drawn_estimate: Float64Array
    drawn_scale: Float64Array
    priority: Float64Array


class Groupings:
    """Which group each held sequence of a corpus is in; reading metadata takes a while: the last answers are kept."""

    def __init__(self, corpus: Corpus) -> None:
        @lru_cache(maxsize=_KEPT)
        def of(group_by: str) -> dict[str, GroupedRows]:
            return {shard.name: corpus.grouped(shard.name, group_by) for shard in corpus.shards}

        self._of = of

    def of(self, shards: Sequence[str], group_by: str) -> tuple[tuple[str, ...], Mapping[str, NDArray[np.int32]]]:
        """Return the groups of these shards, by name, and which of them each shard's rows are in."""
        held = self._of(group_by)
        names = sorted(set[str]().union(*(held[shard].names for shard in shards)))
        place = {name: number for number, name in enumerate(names)}
        return tuple(names), {
            shard: np.array([place[name] for name in held[shard].names], np.int32)[held[shard].groups]
            for shard in shards
        }


def sum_groups(names: tuple[str, ...], parts: Sequence[RowEstimates], samples: int, seed: int) -> GroupSums:
    """Return the sums of the groups and the draw: ``samples`` rows and one more, which says where the others end. Pure.

    Groups without a row are left out. Raises :class:`~whence.errors.InvalidRequestError` (``TOO_MANY_GROUPS``) where
    those that are left are no summary any more.
    """
    positions = np.concatenate([part.positions for part in parts])
    groups = np.concatenate([part.groups for part in parts])
    estimates = np.concatenate([part.estimates for part in parts])
    scales = np.hypot(np.concatenate([part.errors for part in parts]), _SHARE_OFF * estimates)
    scales = np.maximum(scales, _LEAST * scales.mean()) if scales.any() else np.ones_like(scales)

    def total(values: Float64Array | None = None) -> Float64Array:
        return np.bincount(groups, values, minlength=len(names)).astype(np.float64)

    priorities = np.concatenate([uniform(part.positions, seed) for part in parts]) / scales
    drawn = _smallest(priorities, positions, samples + 1)
    sequences = total().astype(np.int64)
    held = np.flatnonzero(sequences)
    if len(held) > MAX_GROUPS:
        raise InvalidRequestError(
            f"the sequences are in {len(held)} groups; at most {MAX_GROUPS} are summed: group them by something "
            "coarser, or filter them",
            reason="TOO_MANY_GROUPS",
            field="group_by",
        )
    return GroupSums(
        names=tuple(names[group] for group in held),
        sequences=sequences[held],
        estimate=total(estimates)[held],
        scale=total(scales)[held],
        squared_scale=total(np.square(scales))[held],
        drawn=positions[drawn],
        drawn_group=np.searchsorted(held, groups[drawn]),
        drawn_estimate=estimates[drawn],
        drawn_scale=scales[drawn],
        priority=priorities[drawn],
    )


def _smallest(values: Float64Array, positions: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return where the ``count`` smallest values are, in order; ties go to the lower position."""
    among = np.arange(len(values))
    if len(values) > count:
        among = np.flatnonzero(values <= np.partition(values, count - 1)[count - 1])
    order: NDArray[np.int64] = among[np.lexsort((positions[among], values[among]))[:count]]
    return order


def uniform(positions: NDArray[np.int64], seed: int) -> Float64Array:
    """Return a random number in (0, 1] for each of ascending positions: of seed and position alone."""
    if not len(positions):
        return np.zeros(0)
    first, count = int(positions[0]), int(positions[-1]) - int(positions[0]) + 1
    # One block of the counter-based generator a position; a block is four words.
    words = np.random.Philox(key=seed, counter=first).random_raw(4 * count)[::4]
    chosen = words[positions - first]
    return ((chosen >> np.uint64(11)).astype(np.float64) + 1) * 2.0**-53
