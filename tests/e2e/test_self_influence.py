"""What influences itself most, by the index, and the influence on itself of what is named, computed."""

from __future__ import annotations

import pytest

from e2e.conftest import Service
from e2e.harness import ranked, whence
from whence import Filter, InvalidRequestError, MismatchError, NotFoundError, Query


def test_self_influence_is_the_influence_of_a_sequence_on_itself(indexed: Service, indexed_halves: Service):
    """Broken by: the index's rows in another order; a sum over the kept coordinates alone."""
    corpus = indexed.artefacts.open_corpus()
    answer = indexed.client.self_influence(top_k=corpus.sequences)
    assert len(answer) == corpus.sequences
    for hit in (*answer.hits[:3], answer.hits[-1]):
        record = corpus.record(corpus.position_of(hit.sequence_id))
        query = Query.tokens(record.token_ids.tolist(), completion_start=1)
        score = indexed.client.score(query, sequence_ids=[hit.sequence_id])
        assert hit.influence == pytest.approx(score.influence[0][0], rel=1e-5)
    assert [hit.raw_influence for hit in answer] == sorted((hit.raw_influence for hit in answer), reverse=True)
    assert ranked(indexed_halves.clients[0].self_influence(top_k=7).hits) == ranked(answer.hits[:7])


def test_the_self_influence_of_what_is_named_is_computed(indexed: Service, whole: Service, halves: Service):
    """Of any text and with any damping, without an index, wherever the sequences are. Broken by: one query for all."""
    named = [hit.sequence_id for hit in indexed.client.self_influence(top_k=80)][::7]
    expected = {hit.sequence_id: hit.influence for hit in indexed.client.self_influence(top_k=80)}
    for service in (whole, halves):
        answer = service.client.self_influence(sequence_ids=named, texts=["the lamp the lamp"])
        found = {hit.sequence_id: hit.influence for hit in answer}
        assert found.pop("") > 0
        assert found == pytest.approx({name: expected[name] for name in named}, rel=1e-5)
        assert [hit.influence for hit in answer] == sorted((hit.influence for hit in answer), reverse=True)
    text = next(hit for hit in answer if not hit.sequence_id)
    damped = whole.client.self_influence(texts=["the lamp the lamp"], damping_factor=5.0)
    assert (text.text, len(damped)) == ("the lamp the lamp", 1)
    assert 0 < damped.hits[0].influence < text.influence
    assert ranked(whole.client.self_influence(sequence_ids=named, top_k=2).hits) == [
        (hit.sequence_id, hit.raw_influence) for hit in whole.client.self_influence(sequence_ids=named).hits[:2]
    ]


def test_what_makes_no_self_influence_is_refused(indexed: Service):
    for request, reason in (
        ({"sequence_ids": ["doc1#0"], "only": Filter(sources=["log"])}, "INVALID_FILTER"),
        ({"damping_factor": 0.5}, "INVALID_DAMPING_FACTOR"),
        ({"texts": ["a"], "damping_factor": -1.0}, "INVALID_DAMPING_FACTOR"),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            indexed.client.self_influence(**request)
        assert caught.value.reason == reason
    with pytest.raises(NotFoundError) as missing:
        indexed.client.self_influence(sequence_ids=["nobody#0"])
    assert missing.value.reason == "SEQUENCE_NOT_FOUND"


def test_self_influence_can_be_filtered_and_needs_an_index(indexed: Service, whole: Service):
    assert {hit.source for hit in indexed.client.self_influence(only=Filter(sources=["log"]))} == {"log"}
    with pytest.raises(NotFoundError, match="check the spelling"):
        indexed.client.self_influence(only=Filter(sources=["tail"]))
    with pytest.raises(MismatchError, match="whence index"):
        whole.client.self_influence()


def test_the_command_line_lists_outliers(indexed: Service):
    done = whence("outliers", "-k", "3", "--where", "year=1910", server=indexed.front.address)
    assert done.returncode == 0, done.stderr
    assert "Influence themselves most" in done.stdout
    assert "doc10#0" in done.stdout
    given = whence("outliers", "--text", "the lamp", "--id", "doc3#0", server=indexed.front.address)
    assert given.returncode == 0, given.stderr
    assert "doc3#0" in given.stdout
