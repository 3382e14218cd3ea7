"""Where the shards are does not matter: two workers with one each answer as one with both, whichever replica asks."""

from __future__ import annotations

import pytest

from e2e.conftest import Service
from e2e.harness import QUERY, influences, ranked, told
from whence import Query

OPTIONS = {"top_k": 12, "direction": "both", "include_layers": True, "include_tokens": True}


@pytest.mark.parametrize("replica", [0, 1])
def test_an_attribution_is_the_same_bit_for_bit(whole: Service, halves: Service, replica: int):
    expected = whole.client.attribute(QUERY, **OPTIONS)
    assert told(halves.clients[replica].attribute(QUERY, **OPTIONS)) == told(expected)


@pytest.mark.parametrize("replica", [0, 1])
def test_a_batch_is_the_same_bit_for_bit(whole: Service, halves: Service, replica: int):
    queries = [QUERY, Query.text("a gull ", "at sea"), Query.text("", "fog")]
    expected = whole.client.attribute_batch(queries, top_k=50)
    found = halves.clients[replica].attribute_batch(queries, top_k=50)
    assert [ranked(answer) for answer in found] == [ranked(answer) for answer in expected]


def test_scores_and_explanations_are_the_same(whole: Service, halves: Service):
    expected = influences(whole.client, whole.artefacts)
    assert influences(halves.clients[1], halves.artefacts) == pytest.approx(expected, rel=1e-9)
    last = list(expected)[-1]
    explained = [service.client.explain(QUERY, sequence_id=last).parts for service in (whole, halves)]
    assert explained[0] == explained[1]


def test_both_workers_scanned_their_half_and_nothing_else(halves: Service):
    before = [worker.metrics().value("whence_sequences_scored_total") for worker in halves.workers]
    halves.clients[0].attribute(QUERY)
    after = [worker.metrics().value("whence_sequences_scored_total") for worker in halves.workers]
    held = [shard.sequences for shard in halves.artefacts.open_corpus().shards]
    assert [b - a for a, b in zip(before, after, strict=True)] == held


def test_the_model_lists_the_shards_of_both(halves: Service):
    for client in halves.clients:
        model = client.model()
        assert [shard.replicas for shard in model.shards] == [1, 1]
        assert model.uncovered_shards == ()
