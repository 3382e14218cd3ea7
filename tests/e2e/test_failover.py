"""Two real workers that hold the same shards, one of which is killed: every call answers the same, to the last bit."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from e2e.conftest import Service, serve_unrefreshed, start_slow
from e2e.harness import QUERY, Artefacts, Launcher, told
from whence import Attribution, Client, Query

QUERIES = [
    QUERY,
    Query.text("a gull ", "at sea"),
    Query.text("", "fog"),
    Query.text("the ", "bell"),
    Query.text("", "salt"),
]
IDS = ["doc1#0", "doc8#0", "doc30#0", "doc59#0"]
OPTIONS: dict[str, Any] = {"top_k": 7, "direction": "both", "candidates": 40}

Call = Callable[[Client, Query], Any]
TO_THE_LAST_BIT: dict[str, Call] = {
    "full scan": lambda client, query: client.attribute(query, search="full_scan", **OPTIONS),
    "re-rank": lambda client, query: client.attribute(query, search="index_rerank", **OPTIONS),
    "index only": lambda client, query: client.attribute(query, search="index_only", **OPTIONS),
    "by tokens": lambda client, query: client.attribute(query, search="tfidf_rerank", **OPTIONS),
    "self-influence": lambda client, _: client.self_influence(top_k=9),
}
# What two workers added up, or had in a batch each, is added up or in one batch by one then: it tells in the last bits.
BUT_FOR_ROUNDING: dict[str, Call] = {
    "groups": lambda client, query: client.group_influence(query, samples=40),
    "layers": lambda client, query: client.attribute(query, include_layers=True, include_tokens=True, **OPTIONS),
    "score": lambda client, query: client.score(query, sequence_ids=IDS, texts=["the owl"]),
    "explain": lambda client, query: client.explain(query, sequence_id=IDS[2]),
    "self-influence of some": lambda client, _: client.self_influence(sequence_ids=IDS),
}


def answers(client: Client, calls: dict[str, Call]) -> dict[str, list[str]]:
    """What each call answers to each query, without what differs from call to call."""
    return {name: [told(call(client, query)).to_json() for query in QUERIES] for name, call in calls.items()}


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", text)]


@pytest.fixture
def replicas(launch: Launcher, with_index: Artefacts) -> Service:
    """Two workers that hold everything."""
    workers = [launch.worker(with_index, BATCH_TOKENS="256", SHARE_BATCHES="false") for _ in range(2)]
    return serve_unrefreshed(launch, with_index, workers)


def test_every_call_survives_the_loss_of_a_worker(replicas: Service):
    """Broken by: a hop that asks nobody else; a front end that asks the dead one again within a call."""
    exactly, roughly = (answers(replicas.client, calls) for calls in (TO_THE_LAST_BIT, BUT_FOR_ROUNDING))
    replicas.workers[1].kill()
    assert answers(replicas.client, TO_THE_LAST_BIT) == exactly
    for name, found in answers(replicas.client, BUT_FOR_ROUNDING).items():
        for one, expected in zip(found, roughly[name], strict=True):
            assert numbers(one) == pytest.approx(numbers(expected), rel=1e-9, abs=1e-12)
    assert replicas.front.metrics().value("whence_failovers_total") > 0
    assert [line for line in replicas.front.lines() if line["event"] == "a worker was lost during a call"]


@pytest.mark.parametrize("search", ["full_scan", "index_rerank"])
def test_a_worker_killed_while_it_scores_costs_the_answer_nothing(launch: Launcher, with_index: Artefacts, search: str):
    """Broken by: what it had told counted twice, or missing."""
    workers = [start_slow(launch, with_index, delay_s=0.05) for _ in range(2)]
    service = serve_unrefreshed(launch, with_index, workers)
    options = {"search": search, "top_k": 20, "candidates": 60, "direction": "both"}
    expected = told(service.client.attribute(QUERY, **options))
    scored = [worker.metrics().value("whence_sequences_scored_total") for worker in workers]
    answer, killed = None, 0
    for event in service.client.attribute_stream(QUERY, **options):
        if answer is None and event.sequences_scored:
            killed = max((0, 1), key=lambda n: workers[n].metrics().value("whence_sequences_scored_total") - scored[n])
            workers[killed].kill()
        answer = event
    assert isinstance(answer, Attribution)
    assert told(answer) == expected
    assert service.front.metrics().value("whence_failovers_total") == 1
