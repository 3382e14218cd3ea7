"""Sums of estimates over groups of sequences, and the priority sample that corrects them.

Estimates leave out the coordinates that the index does not keep, and so do their sums. Therefore some sequences are
scored exactly. They are drawn by priority sampling (Duffield, Lund and Thorup, JACM 2007), with probabilities in
proportion to the errors that their estimates may have. The sample of several shards is the best of their samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence.errors import InvalidRequestError
from whence.reasons import Reason

# More groups are no summary.
MAX_GROUPS: Final = 10_000
# The scale of a sequence combines the standard error of its estimate with this share of the estimate, by which the
# coordinates that the index does not keep may change it.
_OMITTED_SHARE: Final = 1.0
# The smallest scale, as a share of the mean scale: every sequence can be drawn.
_SMALLEST_SCALE: Final = 1e-3

Float64Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class RowEstimates:
    """Rows of a shard, [n] each: their positions, sets of groups, estimated influences and standard errors."""

    positions: NDArray[np.int64]
    groups: NDArray[np.int32]
    estimates: Float64Array
    errors: Float64Array


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupSums:
    """Sums over each of G groups and, last, over all rows, [G + 1]; and the rows drawn, smallest priority first, [n].

    ``drawn`` are positions, and ``drawn_groups`` the groups of each as places in ``names``.
    """

    names: tuple[str, ...]
    sequences: NDArray[np.int64]
    estimate: Float64Array
    scale: Float64Array
    squared_scale: Float64Array
    drawn: NDArray[np.int64]
    drawn_groups: tuple[tuple[int, ...], ...]
    drawn_estimate: Float64Array
    drawn_scale: Float64Array
    priority: Float64Array


def sum_groups(names: tuple[tuple[str, ...], ...], parts: Sequence[RowEstimates], samples: int, seed: int) -> GroupSums:
    """Return the sums over groups, and a sample of ``samples`` rows and one more, the threshold. Pure.

    ``names`` are the sets of groups that rows are in. Groups without a row are left out. Raises
    :class:`~whence.errors.InvalidRequestError` (``TOO_MANY_GROUPS``) where more than ``MAX_GROUPS`` have rows.
    """
    positions = np.concatenate([part.positions for part in parts])
    sets = np.concatenate([part.groups for part in parts])
    estimates = np.concatenate([part.estimates for part in parts])
    scales = np.hypot(np.concatenate([part.errors for part in parts]), _OMITTED_SHARE * estimates)
    scales = np.maximum(scales, _SMALLEST_SCALE * scales.mean()) if scales.any() else np.ones_like(scales)
    members = _Members.of(names, np.flatnonzero(np.bincount(sets, minlength=len(names))).tolist())

    def total(values: Float64Array | None = None) -> Float64Array:
        return members.total(np.bincount(sets, values, minlength=len(names)).astype(np.float64))

    priorities = np.concatenate([uniform(part.positions, seed) for part in parts]) / scales
    drawn = smallest(priorities, positions, samples + 1)
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
    """The members of sets of groups.

    ``groups``: for each set that a row has, the places of its groups in ``names``. ``pairs``: the same as pairs of set
    and group, int64 [2, pairs].
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
        """Return sums over each group and, last, over all rows, [G + 1], from sums over sets of groups, [sets]."""
        sets, groups = self.pairs
        return np.append(np.bincount(groups, of_sets[sets], minlength=len(self.names)), of_sets.sum())


def smallest(values: Float64Array, positions: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the indices of the ``count`` smallest values, ascending by value; ties go to the lower position."""
    candidates = np.arange(len(values))
    if len(values) > count:
        candidates = np.flatnonzero(values <= np.partition(values, count - 1)[count - 1])
    order: NDArray[np.int64] = candidates[np.lexsort((positions[candidates], values[candidates]))[:count]]
    return order


def uniform(positions: NDArray[np.int64], seed: int) -> Float64Array:
    """Return a random number in (0, 1] for each of ascending positions, which depends on seed and position alone."""
    if not len(positions):
        return np.zeros(0)
    first, count = int(positions[0]), int(positions[-1]) - int(positions[0]) + 1
    # The generator is counter-based: each position has its own block of four words, of which it takes the first.
    words = np.random.Philox(key=seed, counter=first).random_raw(4 * count)[::4]
    chosen = words[positions - first]
    return ((chosen >> np.uint64(11)).astype(np.float64) + 1) * 2.0**-53
