"""Candidates by shared tokens: without an index, biased and said so, the same wherever the shards are."""

from __future__ import annotations

import signal

import pytest

from e2e.conftest import Service, serve_unrefreshed
from e2e.harness import QUERY, Artefacts, Launcher, ranked, told, whence
from whence import Filter, NotFoundError, Query

FOG = Query.text("", "fog fog fog")


def test_with_every_sequence_a_candidate_the_answer_is_that_of_a_scan(whole: Service):
    scanned = whole.client.attribute(QUERY, top_k=12, direction="both")
    options = {"top_k": 12, "direction": "both", "search": "tfidf_rerank", "noise_sample": 0}
    answer = whole.client.attribute(QUERY, **options)
    assert [hit.sequence_id for hit in answer] == [hit.sequence_id for hit in scanned]
    assert [hit.raw_influence for hit in answer] == pytest.approx([hit.raw_influence for hit in scanned], rel=1e-9)
    assert answer.search == "tfidf_rerank"
    assert answer.sequences_searched == scanned.sequences_scored
    # All but those that share nothing, which are no candidates.
    assert answer.sequences_searched - 3 < answer.sequences_scored < answer.sequences_searched


def test_few_candidates_are_those_that_share_its_words_and_the_bias_is_told(whole: Service):
    """A letter is a token here, and "fog" alone of the words has an f. Broken by: the first sequences as candidates."""
    answer = whole.client.attribute(FOG, top_k=5, candidates=15, search="tfidf_rerank", noise_sample=0)
    assert answer.sequences_scored == 15
    assert all("fog" in hit.text for hit in answer)
    assert [warning.code for warning in answer.warnings] == ["CANDIDATES_BY_TOKENS"]
    assert (answer.positive_recall, answer.provenance.index_digest) == (None, "")


@pytest.mark.parametrize("query", [QUERY, FOG], ids=["sentence", "word"])
def test_where_the_shards_are_does_not_matter_to_the_last_bit(whole: Service, halves: Service, query: Query):
    """Broken by: tokens weighed by how rare they are in each shard."""
    options = {"top_k": 6, "direction": "both", "candidates": 10, "search": "tfidf_rerank"}
    expected = whole.client.attribute(query, **options)
    for client in halves.clients:
        assert told(client.attribute(query, **options)) == told(expected)


def test_a_batch_is_each_query_alone_with_more_to_choose_from(whole: Service):
    queries = [QUERY, FOG]
    options = {"top_k": 80, "candidates": 80, "search": "tfidf_rerank", "direction": "both"}
    together = whole.client.attribute_batch(queries, **options)
    for query, answer in zip(queries, together, strict=True):
        alone = whole.client.attribute(query, **options)
        found = dict(ranked(list(answer)))
        expected = dict(ranked(list(alone)))
        assert len(expected) > 70
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-9)


def test_only_what_the_filter_lets_through_is_a_candidate(whole: Service):
    answer = whole.client.attribute(QUERY, search="tfidf_rerank", only=Filter(sources=["tale"]), top_k=100)
    assert {hit.source for hit in answer} == {"tale"}
    assert answer.sequences_searched == answer.sequences_scored < whole.artefacts.open_corpus().sequences
    with pytest.raises(NotFoundError, match="check the spelling"):
        whole.client.attribute(QUERY, search="tfidf_rerank", only=Filter(sources=["tail"]))


def test_a_partial_answer_names_what_it_lacks(launch: Launcher, artefacts: Artefacts):
    shards = artefacts.open_corpus().shards
    workers = [launch.worker(artefacts, "--shard", shard.name) for shard in shards]
    service = serve_unrefreshed(launch, artefacts, workers)
    workers[1].process.send_signal(signal.SIGKILL)
    workers[1].process.wait()
    answer = service.client.attribute(QUERY, search="tfidf_rerank", top_k=100, return_partial_success=True)
    assert answer.unreachable_shards == (shards[1].name,)
    assert answer.sequences_searched == shards[0].sequences
    corpus = artefacts.open_corpus()
    assert answer.positive
    assert all(corpus.position_of(hit.sequence_id) < shards[0].sequences for hit in answer)


def test_the_command_line_takes_it(whole: Service):
    asked = ("attribute", "--completion", "fog", "-k", "2", "--search", "tfidf-rerank", "--candidates", "10")
    done = whence(*asked, server=whole.front.address)
    assert done.returncode == 0, done.stderr
    assert "CANDIDATES_BY_TOKENS" in done.stdout
