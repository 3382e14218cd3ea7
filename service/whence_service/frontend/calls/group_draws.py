"""The sample of sequences over all shards, and what of it was scored. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.frontend.calls.group_estimates import Drawn


@dataclass(frozen=True, kw_only=True)
class Draw:
    """A drawn sequence whose influence is not yet known."""

    position: int
    priority: float
    drawn: Drawn


def merge_draws(answers: list[messages.EstimateGroupsResponse], count: int) -> list[Draw]:
    """Return the sample over all shards: the smallest priorities, in order. Ties go to the lower position."""
    draws = (
        Draw(
            position=sequence.position,
            priority=sequence.priority,
            drawn=Drawn(
                groups=tuple(answer.groups[group].name for group in sequence.groups),
                estimate=sequence.estimate,
                scale=sequence.scale,
                influence=0.0,
            ),
        )
        for answer in answers
        for sequence in answer.drawn
    )
    return heapq.nsmallest(count, draws, key=lambda draw: (draw.priority, draw.position))


def scored_draw(draws: Sequence[Draw], exact: Mapping[int, float]) -> tuple[list[Drawn], float | None]:
    """Return the scored sample up to the first gap, and the priority at which it ends."""
    sample: list[Drawn] = []
    for draw in draws:
        if draw.position not in exact:
            break
        sample.append(replace(draw.drawn, influence=exact[draw.position]))
    return sample, draws[len(sample)].priority if len(sample) < len(draws) else None
