"""The draw over all shards, and what of it was scored: pure parts of the influence of groups."""

from __future__ import annotations

from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.frontend.calls.group_draws import merge_draws, scored_draw


def answer(*drawn: tuple[int, float]) -> messages.EstimateGroupsResponse:
    return messages.EstimateGroupsResponse(
        groups=[messages.EstimatedGroup(name="web")],
        drawn=[
            messages.DrawnSequence(position=position, groups=[0], estimate=1.0, scale=1.0, priority=priority)
            for position, priority in drawn
        ],
    )


def test_the_draw_is_the_smallest_priorities_of_all_shards():
    """Ties go to the lower position."""
    draws = merge_draws([answer((0, 0.1), (2, 0.4)), answer((11, 0.2), (10, 0.4), (12, 0.9))], 4)
    assert [(draw.position, draw.priority) for draw in draws] == [(0, 0.1), (11, 0.2), (2, 0.4), (10, 0.4)]


def test_the_sample_is_what_was_scored_without_a_gap():
    """What comes after a gap was scored because it is short, or came first: it is no sample."""
    draws = merge_draws([answer((0, 0.1), (1, 0.2), (2, 0.3), (3, 0.4))], 4)
    sample, threshold = scored_draw(draws, {0: 5.0, 1: 6.0, 3: 7.0})
    assert [one.influence for one in sample] == [5.0, 6.0]
    assert threshold == 0.3


def test_a_draw_of_everything_has_no_end():
    draws = merge_draws([answer((0, 0.1), (1, 0.2))], 4)
    assert scored_draw(draws, {0: 5.0, 1: 6.0})[1] is None
