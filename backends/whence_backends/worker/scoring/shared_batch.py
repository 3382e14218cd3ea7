"""The batches that re-ranks share. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from whence_backends.batching import IndexArray
from whence_backends.worker.scoring.pending_rescore import PendingRescore


@dataclass(frozen=True, kw_only=True, eq=False)
class SharedBatch:
    """The next batch: its re-ranks and positions, those whose deadline has passed, and those that wait, in turn.

    ``group`` are all that could have been in it.
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
    """Return the next batch of the re-ranks that wait, at the time ``now_s``. Pure. Abandoned re-ranks are left out.

    The batch is the next one of the first in turn. Others with the same preconditioning, whose queries fit within
    ``max_queries`` of their rank, add their next batches as long as the padded tokens stay within the budget. All that
    want one of its positions take part, and go to the end of the queue. Before them go others of the first one's
    tenant, and before those the other tenants': they take turns, however many re-ranks each has.
    """
    live = [pending for pending in waiting if not pending.abandoned]
    expired = tuple(pending for pending in live if pending.context.deadline.expires_at_s <= now_s)
    able = [pending for pending in live if pending not in expired and pending.left]
    if not able:
        return SharedBatch(chosen=(), group=(), positions=np.zeros(0, np.int64), expired=expired, waiting=())
    group = _alike(able, max_queries) if share else able[:1]
    positions, tenant = group[0].next_batch(), group[0].caller.tenant
    for pending in group[1:]:
        filled = np.concatenate([positions, np.setdiff1d(pending.next_batch(), positions)])
        if padded_tokens(filled) <= token_budget:
            positions = filled
    chosen = [pending for pending in group if len(pending.wanted(positions))]
    in_turn = sorted(able, key=lambda pending: 2 if pending in chosen else pending.caller.tenant == tenant)
    return SharedBatch(
        chosen=tuple(chosen), group=tuple(group), positions=positions, expired=expired, waiting=tuple(in_turn)
    )


def _alike(able: Sequence[PendingRescore], max_queries: Callable[[int], int]) -> list[PendingRescore]:
    """Return the first and those that can share its batches, as long as their queries fit.

    Those in its composition come first: their queries need not be preconditioned again.
    """
    first, *others = able
    if first.alone:
        return [first]
    known = first.composition.rows.keys() if first.composition is not None else set[str]()
    alike = [pending for pending in others if pending.preconditioning == first.preconditioning and not pending.alone]
    group, queries = [first], len(first.gradients)
    for pending in sorted(alike, key=lambda pending: not pending.names <= known):
        if queries + len(pending.gradients) <= max_queries(first.preconditioning.rank):
            group.append(pending)
            queries += len(pending.gradients)
    return group
