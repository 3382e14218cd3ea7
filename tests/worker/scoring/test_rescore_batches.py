"""Which candidates go through the engine together: never across shards, and never long after better ones."""

from __future__ import annotations

import numpy as np
import pytest

from whence.errors import NotFoundError
from whence_backends.worker.scoring.rescore_batches import HeldShard, plan_rescore

SHARDS = [
    HeldShard(first_position=0, lengths=np.arange(1, 101)),
    HeldShard(first_position=100, lengths=np.arange(60, 0, -1)),
]
WANTED = np.random.default_rng(0).permutation(160)[:90].tolist()


def test_each_position_is_in_one_batch_and_no_batch_is_too_large() -> None:
    batches = plan_rescore(WANTED, SHARDS, token_budget=150)
    assert sorted(np.concatenate(batches).tolist()) == sorted(WANTED)
    lengths = np.concatenate([shard.lengths for shard in SHARDS])
    assert all(len(batch) * lengths[batch].max() <= 150 for batch in batches)


def test_batches_depend_on_their_shard_alone() -> None:
    """Broken by: batches that span shards, whose influences then differ in the last bit from another placement's."""
    both = plan_rescore(WANTED, SHARDS, token_budget=150, block=16)
    for shard in SHARDS:
        own = [position for position in WANTED if 0 <= position - shard.first_position < len(shard.lengths)]
        alone = plan_rescore(own, [shard], token_budget=150, block=16)
        held = [batch for batch in both if batch[0] in own]
        assert [batch.tolist() for batch in alone] == [batch.tolist() for batch in held]


def test_better_candidates_come_first() -> None:
    """Broken by: the longest of all first, wherever they rank."""
    order = np.concatenate(plan_rescore(WANTED, SHARDS, token_budget=150, block=10)).tolist()
    for shard in SHARDS:
        own = [position for position in WANTED if 0 <= position - shard.first_position < len(shard.lengths)]
        ranks = [own.index(position) for position in order if position in own]
        assert [rank // 10 for rank in ranks] == sorted(rank // 10 for rank in ranks)


def test_a_position_that_is_asked_twice_is_scored_once() -> None:
    assert [batch.tolist() for batch in plan_rescore([5, 5, 7, 5], SHARDS, token_budget=1000)] == [[7, 5]]


def test_a_position_that_is_not_held_is_refused() -> None:
    with pytest.raises(NotFoundError, match="position 160"):
        plan_rescore([3, 160], SHARDS, token_budget=100)
