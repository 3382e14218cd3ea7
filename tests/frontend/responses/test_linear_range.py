"""Influences that are too large to be read as nats are explained; what bears on all of them is said each time."""

from __future__ import annotations

import pytest

from whence.linear_range import is_above_certainty, is_outside, is_outside_for_tokens
from whence.v1 import attribution_pb2, attribution_service_pb2

BOTH = attribution_pb2.DIRECTION_BOTH


@pytest.mark.parametrize(
    ("influence", "log_likelihood", "outside"),
    [
        (2000.0, -8.6, True),
        (-2000.0, -8.6, True),
        (0.01, -8.6, False),
        (-0.5, -0.01, False),
        (0.5, -0.2, True),  # a probability above 1
        (0.05, -0.001, False),  # nobody is misled
        (3.5, -8.6, True),
        (-3.5, -8.6, True),
        (20.0, -300.0, False),
        (-40.0, -300.0, True),
        (float("inf"), -8.6, True),
    ],
)
def test_an_influence_is_outside_where_a_log_likelihood_cannot_follow_it(
    influence: float, log_likelihood: float, outside: bool
) -> None:
    assert is_outside(influence, log_likelihood) is outside


@pytest.mark.parametrize(
    ("total", "log_likelihood", "above"),
    [(1.3, -1.25, True), (1.2, -1.25, False), (0.05, -0.001, False), (0.2, -0.001, True), (-5.0, -1.0, False)],
)
def test_a_sum_is_above_certainty_where_it_exceeds_what_is_left_to_gain(
    total: float, log_likelihood: float, above: bool
) -> None:
    assert is_above_certainty(total, log_likelihood) is above


async def sums(front, query, top_k: int) -> list[str]:
    options = attribution_pb2.AttributionOptions(top_k=top_k, direction=BOTH)
    answer = await front.stub.Attribute(attribution_service_pb2.AttributeRequest(query=query, options=options))
    return [warning.message for warning in answer.metadata.warnings if warning.code == "SUM_ABOVE_CERTAINTY"]


async def test_hits_that_promise_too_much_together_are_marked(start_worker, start_front, ask):
    """No hit promises more than 0.5 nats, and negative ones take nothing off. Broken by: adding all of them up."""
    worker = await start_worker()
    worker.stub.training_set_size = 4
    front = await start_front(worker)
    [message] = await sums(front, ask("a"), 4)
    assert "+1.5 nats on a log-likelihood of -1" in message
    assert await sums(front, ask("a"), 1) == []


def test_a_sequence_is_taken_to_have_a_nat_a_token() -> None:
    assert is_outside_for_tokens(4.0, 5)
    assert not is_outside_for_tokens(4.0, 500)


@pytest.fixture
async def small(start_worker, start_front):
    """A front end whose worker divides by 1, so that influences are as large as the table has them: up to 2."""
    worker = await start_worker()
    worker.stub.training_set_size = 1
    worker.stub.says = ("FACTORS_OF_OTHER_CORPUS", "UNATTRIBUTED_PARAMETERS")
    return await start_front(worker)


def codes(answer) -> list[str]:
    return [warning.code for warning in answer.metadata.warnings]


async def test_every_kind_of_answer_explains_influences_outside_the_linear_range(small, front, ask):
    """Broken by: explaining those of rankings alone."""
    options = attribution_pb2.AttributionOptions(top_k=4, direction=BOTH)
    selectors = [attribution_service_pb2.SequenceSelector(sequence_id=f"doc{position}#0") for position in range(12)]
    requests = {
        "Attribute": attribution_service_pb2.AttributeRequest(query=ask("a"), options=options),
        "Score": attribution_service_pb2.ScoreRequest(queries=[ask("a")], sequences=selectors),
        "Explain": attribution_service_pb2.ExplainRequest(query=ask("a"), sequence=selectors[3]),
    }
    for name, request in requests.items():
        outside = await getattr(small.stub, name)(request)
        assert "OUTSIDE_LINEAR_RANGE" in codes(outside), name
        [said] = [one.message for one in outside.metadata.warnings if one.code == "OUTSIDE_LINEAR_RANGE"]
        assert "N = 1, as the worker is set" in said
        assert "damping_factor" in said
        assert "OUTSIDE_LINEAR_RANGE" not in codes(await getattr(front.stub, name)(request)), name


async def test_every_answer_says_what_bears_on_all_its_influences_and_nothing_else_of_the_model(small, ask):
    answer = await small.stub.Attribute(attribution_service_pb2.AttributeRequest(query=ask("a")))
    assert "FACTORS_OF_OTHER_CORPUS" in codes(answer)
    assert "UNATTRIBUTED_PARAMETERS" not in codes(answer)
