"""Answers that may lack shards: which they lack, and when nothing would be left. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from whence.errors import UnavailableError
from whence_service.frontend.job import Job
from whence_service.frontend.placement import Generation
from whence_service.frontend.routing import ShardGroup


def unreachable_shards(job: Job, lost: Iterable[ShardGroup]) -> tuple[str, ...]:
    """Return the shards that nobody holds now, and those whose worker went away, in the corpus's order."""
    gone = {shard for group in lost for shard in group.shards}
    return tuple(shard for shard, holders in job.generation.shards.items() if not holders or shard in gone)


def covered_share(generation: Generation, unreachable: Iterable[str]) -> float:
    """Return the share of the corpus's sequences that are in shards that were reached."""
    missing = set(unreachable)
    if not missing:
        return 1.0
    held = sum(size for shard, size in generation.sizes.items() if shard not in missing)
    return held / max(1, generation.model.corpus_sequences)


def all_unreachable(job: Job) -> UnavailableError:
    """Return the error of a call that reached no shard at all."""
    return UnavailableError(
        f"no worker of {job.generation.id.model!r} could be reached, so there is not even a partial answer; try again",
        reason="WORKER_UNAVAILABLE",
        shards=", ".join(job.generation.shards),
    )
