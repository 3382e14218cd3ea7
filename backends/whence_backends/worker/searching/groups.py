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
from whence.reasons import Reason
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
    """What the index says of some rows of a shard, one each, [n]: positions, estimated influences, standard errors.

    ``groups`` says which set of groups a row is in.
    """

    positions: NDArray[np.int64]
    groups: NDArray[np.int32]
    estimates: Float64Array
    errors: Float64Array


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupSums:
    """Sums over groups and, last, over all rows, [G + 1] each; the rows drawn, smallest priority first, [n] each."""

    names: tuple[str, ...]
    sequences: NDArray[np.int64]
    estimate: Float64Array
    scale: Float64Array
    squared_scale: Float64Array
    drawn: NDArray[np.int64]  # positions
    drawn_groups: tuple[tuple[int, ...], ...]
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

    def of(
        self, shards: Sequence[str], group_by: str
    ) -> tuple[tuple[tuple[str, ...], ...], Mapping[str, NDArray[np.int32]]]:
        """Return the sets of groups that rows of these shards are in, and which of them each shard's rows are in."""
        held = self._of(group_by)
        names = sorted(set[tuple[str, ...]]().union(*(held[shard].names for shard in shards)))
        place = {name: number for number, name in enumerate(names)}
        return tuple(names), {
            shard: np.array([place[name] for name in held[shard].names], np.int32)[held[shard].groups]
            for shard in shards
        }


def sum_groups(names: tuple[tuple[str, ...], ...], parts: Sequence[RowEstimates], samples: int, seed: int) -> GroupSums:
    """Return the sums of the groups and the draw: ``samples`` rows and one more, which says where the others end. Pure.

    ``names`` are the sets of groups that rows are in. Groups without a row are left out. Raises
    :class:`~whence.errors.InvalidRequestError` (``TOO_MANY_GROUPS``) where those that are left are no summary any more.
    """
    positions = np.concatenate([part.positions for part in parts])
    sets = np.concatenate([part.groups for part in parts])
    estimates = np.concatenate([part.estimates for part in parts])
    scales = np.hypot(np.concatenate([part.errors for part in parts]), _SHARE_OFF * estimates)
    scales = np.maximum(scales, _LEAST * scales.mean()) if scales.any() else np.ones_like(scales)
    members = _Members.of(names, np.flatnonzero(np.bincount(sets, minlength=len(names))).tolist())

    def total(values: Float64Array | None = None) -> Float64Array:
        return members.total(np.bincount(sets, values, minlength=len(names)).astype(np.float64))

    priorities = np.concatenate([uniform(part.positions, seed) for part in parts]) / scales
    drawn = _smallest(priorities, positions, samples + 1)
    return GroupSums(
        names=members.names,
        sequences=total().astype(np.int64),
        estimate=total(estimates),
        scale=total(scales),
        squared_scale=total(np.square(scales)),
        drawn=positions[drawn],
        drawn_groups=tuple(members.groups[number] for number in sets[drawn].tolist()),
        drawn_estimate=estimates[drawn],
        drawn_scale=scales[drawn],
        priority=priorities[drawn],
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Members:
    """Which groups are in which sets of groups.

    ``groups``: of each set that a row has, places in ``names``; ``pairs``: these, int64 [2, pairs] of set and group.
    """

    names: tuple[str, ...]
    groups: Mapping[int, tuple[int, ...]]
    pairs: NDArray[np.int64]

    @classmethod
    def of(cls, sets: Sequence[tuple[str, ...]], held: Sequence[int]) -> _Members:
        names = sorted(set[str]().union(*(sets[number] for number in held)))
        if len(names) > MAX_GROUPS:
            raise InvalidRequestError(
                f"the sequences are in {len(names)} groups; at most {MAX_GROUPS} are summed: group them by something "
                "coarser, or filter them",
                reason=Reason.TOO_MANY_GROUPS,
                field="group_by",
            )
        place = {name: number for number, name in enumerate(names)}
        groups = {number: tuple(place[name] for name in sets[number]) for number in held}
        pairs = [(number, group) for number, of_set in groups.items() for group in of_set]
        return cls(names=tuple(names), groups=groups, pairs=np.array(pairs, np.int64).reshape(-1, 2).T)

    def total(self, of_sets: Float64Array) -> Float64Array:
        """Return the sums over groups and, last, over everything, [G + 1], of sums over sets."""
        sets, groups = self.pairs
        return np.append(np.bincount(groups, of_sets[sets], minlength=len(self.names)), of_sets.sum())


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
