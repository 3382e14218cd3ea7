"""The batches that re-ranks share. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from whence_backends.batching import IndexArray
from whence_backends.worker.scoring.pending_rescore import PendingRescore


@dataclass(frozen=True, kw_only=True, eq=False)
class SharedBatch:
    """The next batch: who is in it and what it holds, who has run out of time, and who is left, next in turn first.

    ``group`` are all who could have been in it.
    """

    chosen: tuple[PendingRescore, ...]
    group: tuple[PendingRescore, ...]
    positions: IndexArray
    expired: tuple[PendingRescore, ...]
    waiting: tuple[PendingRescore, ...]


def plan_shared(
    waiting: Sequence[PendingRescore],
    now_s: float,
    *,
    padded_tokens: Callable[[IndexArray], int],
    token_budget: int,
    max_queries: Callable[[int], int],
    share: bool = True,
) -> SharedBatch:
    """Return the next batch of those that wait, at the time ``now_s``. Pure; whoever was abandoned is in no part.

    The first in turn gives its next batch. Others whose gradients are preconditioned alike, and whose queries fit
    within ``max_queries`` of their rank, add their next where the padded tokens stay within the budget, and whoever
    wants something that is in it takes part. Who was in it goes to the end.
    """
    live = [work for work in waiting if not work.abandoned]
    expired = tuple(work for work in live if work.context.deadline.expires_at_s <= now_s)
    able = [work for work in live if work not in expired and work.left]
    if not able:
        return SharedBatch(chosen=(), group=(), positions=np.zeros(0, np.int64), expired=expired, waiting=())
    group = _alike(able, max_queries) if share else able[:1]
    positions = group[0].next_batch()
    for work in group[1:]:
        filled = np.concatenate([positions, np.setdiff1d(work.next_batch(), positions)])
        if padded_tokens(filled) <= token_budget:
            positions = filled
    chosen = [work for work in group if len(work.wanted(positions))]
    in_turn = [work for work in able if work not in chosen] + chosen
    return SharedBatch(
        chosen=tuple(chosen), group=tuple(group), positions=positions, expired=expired, waiting=tuple(in_turn)
    )


def _alike(able: Sequence[PendingRescore], max_queries: Callable[[int], int]) -> list[PendingRescore]:
    """Return the first and those that can share its batches, as long as their queries fit.

    Those that it was preconditioned with come first: with them nothing has to be preconditioned anew.
    """
    first, *others = able
    if first.alone:
        return [first]
    known = first.composition.rows.keys() if first.composition is not None else set[str]()
    alike = [work for work in others if work.preconditioning == first.preconditioning and not work.alone]
    group, queries = [first], len(first.gradients)
    for work in sorted(alike, key=lambda work: not work.names <= known):
        if queries + len(work.gradients) <= max_queries(first.preconditioning.rank):
            group.append(work)
            queries += len(work.gradients)
    return group
