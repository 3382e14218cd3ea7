"""How the influences of each query are distributed over all sequences, from what the workers counted. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.shrinkage.distribution import Distribution, merge


def merge_distributions(latest: Sequence[messages.ScanResponse], *, queries: int) -> tuple[Distribution, ...]:
    """Return the distribution of each query over the shards of all workers; none where a worker gives none."""
    if any(len(answer.distributions) != queries for answer in latest):
        return ()
    return tuple(merge(_distribution(answer.distributions[query]) for answer in latest) for query in range(queries))


def _distribution(message: messages.InfluenceDistribution) -> Distribution:
    return Distribution(weights=dict(zip(message.bins, message.sequences, strict=True)), known=sum(message.sequences))
