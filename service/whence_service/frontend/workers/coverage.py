"""Answers that may lack shards: how much of the corpus they cover. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from whence_service.frontend.workers.placement import Generation


def covered_share(generation: Generation, unreachable: Iterable[str]) -> float:
    """Return the share of the corpus's sequences that are in shards that were reached."""
    missing = set(unreachable)
    if not missing:
        return 1.0
    held = sum(size for shard, size in generation.sizes.items() if shard not in missing)
    return held / max(1, generation.model.corpus_sequences)
