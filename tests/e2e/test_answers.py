"""What is answered: rankings that are brute force over Score, by every way of asking."""

from __future__ import annotations

import numpy as np
import pytest

from e2e.conftest import Service
from e2e.harness import QUERY, influences, told
from whence import Attribution, Progress, Query
from whence.significance import is_significant
from whence_service.shrinkage.distribution import Distribution
from whence_service.shrinkage.shrinkage import shrink

QUERIES = [QUERY, Query.text("a gull ", "at sea"), Query.tokens([5, 9, 2, 33, 60, 0], 2, query_id="ids")]


@pytest.mark.parametrize("query", QUERIES, ids=["text", "another text", "token ids"])
def test_an_attribution_is_the_ranking_of_every_sequences_score(whole: Service, query: Query):
    expected = influences(whole.client, whole.artefacts, query)  # in corpus order, which settles ties
    answer = whole.client.attribute(query, top_k=7, direction="both")
    assert [hit.sequence_id for hit in answer.positive] == sorted(expected, key=lambda name: -expected[name])[:7]
    assert [hit.sequence_id for hit in answer.negative] == sorted(expected, key=expected.__getitem__)[:7]
    assert [hit.influence for hit in answer] == pytest.approx([expected[hit.sequence_id] for hit in answer], rel=1e-9)
    assert answer.sequences_scored == len(expected)


def test_each_direction_alone_is_its_half_of_both(whole: Service):
    both = whole.client.attribute(QUERY, direction="both")
    positive = whole.client.attribute(QUERY, direction="positive")
    negative = whole.client.attribute(QUERY, direction="negative")
    assert (positive.positive, positive.negative) == (both.positive, ())
    assert (negative.positive, negative.negative) == ((), both.negative)


def test_a_top_k_beyond_the_corpus_gives_all_of_it_by_sign_and_says_so(whole: Service):
    answer = whole.client.attribute(QUERY, top_k=1000, direction="both")
    exact = influences(whole.client, whole.artefacts).values()
    assert len(answer.positive) == sum(influence > 0 for influence in exact)
    assert len(answer.negative) == sum(influence < 0 for influence in exact)
    assert all(hit.influence > 0 for hit in answer.positive)
    assert all(hit.influence < 0 for hit in answer.negative)
    codes = {warning.code for warning in answer.warnings} - {"NOTHING_SIGNIFICANT"}
    assert codes == {
        "TOP_K_EXCEEDS_CORPUS",
        "FEWER_POSITIVE_THAN_TOP_K",
        "FEWER_NEGATIVE_THAN_TOP_K",
        "NEGATIVE_NOT_VALIDATED",
    }


def test_signals_are_those_of_all_influences(whole: Service):
    exact = influences(whole.client, whole.artefacts)
    expected = shrink(Distribution.of(exact.values()))
    answer = whole.client.attribute(QUERY, top_k=1000, direction="both")
    assert answer.noise is not None
    assert answer.noise.sequences == len(exact)
    assert answer.noise.scale == pytest.approx(expected.scale, rel=0.1)
    for hit in answer:
        assert hit.signal == pytest.approx(expected.signal(hit.influence), abs=0.3 * expected.scale)
        assert hit.significance == pytest.approx(expected.significance(hit.influence), abs=0.15)
    told = whole.client.attribute(QUERY, top_k=1000, direction="both", significant_only=True)
    assert told.hits == tuple(hit for hit in answer if is_significant(hit.significance))


def test_a_streams_last_message_is_the_attribution(whole: Service):
    options = {"top_k": 5, "direction": "both", "include_layers": True, "include_tokens": True}
    *_, last = whole.client.attribute_stream(QUERY, **options)
    assert told(last) == told(whole.client.attribute(QUERY, **options))


def test_progress_ranks_what_was_scanned_so_far(slow: Service):
    *progress, last = slow.client.attribute_stream(QUERY, top_k=3)
    total = slow.artefacts.open_corpus().sequences
    assert isinstance(last, Attribution)
    assert progress
    assert all(isinstance(one, Progress) and one.sequences_total == total for one in progress)
    scored = [one.sequences_scored for one in progress]
    assert scored == sorted(scored)
    assert 0 < scored[0] <= scored[-1] <= last.sequences_scored == total
    assert progress[0].positive[0].influence <= last.positive[0].influence


def test_a_batch_is_each_query_alone(whole: Service):
    together = whole.client.attribute_batch(QUERIES, top_k=5, direction="both")
    for query, answer in zip(QUERIES, together, strict=True):
        alone = whole.client.attribute(query, top_k=5, direction="both")
        assert (answer.query_id, answer.query_key) == (query.query_id, alone.query_key)
        assert answer.log_likelihood == alone.log_likelihood
        assert [hit.sequence_id for hit in answer] == [hit.sequence_id for hit in alone]
        assert [hit.influence for hit in answer] == pytest.approx([hit.influence for hit in alone], rel=1e-9)


def test_layers_and_tokens_add_up_to_the_influence(whole: Service):
    for hit in whole.client.attribute(QUERY, direction="both", include_layers=True, include_tokens=True):
        assert list(hit.layer_influence) == ["first", "second"]
        assert sum(hit.layer_influence.values()) == pytest.approx(hit.influence, rel=1e-9)
        assert sum(token.influence for token in hit.tokens) == pytest.approx(hit.influence, rel=1e-9)
        assert "".join(token.text for token in hit.tokens) == hit.text
        assert len(hit.tokens) == hit.token_count


def test_an_explanation_adds_up_to_the_hit_and_agrees_with_its_parts(whole: Service):
    (hit,) = whole.client.attribute(QUERY, top_k=1, include_layers=True, include_tokens=True)
    explained = whole.client.explain(QUERY, sequence_id=hit.sequence_id)
    assert np.sum(explained.parts) == pytest.approx(hit.influence, rel=1e-9)
    assert explained.influence == pytest.approx(hit.influence, rel=1e-9)
    assert explained.layer_influence == pytest.approx(hit.layer_influence, rel=1e-9)
    by_token = [token.influence for token in hit.tokens]
    assert [token.influence for token in explained.tokens] == pytest.approx(by_token, rel=1e-9)


def test_a_hit_is_the_corpus_row_it_came_from(whole: Service):
    corpus = whole.artefacts.open_corpus()
    for hit in whole.client.attribute(QUERY, top_k=20, direction="both"):
        record = corpus.record(corpus.position_of(hit.sequence_id))
        assert (hit.document_id, hit.source, hit.text) == (record.document_id, record.source, record.text)
        assert (hit.metadata, hit.token_count) == (record.metadata, len(record.token_ids))
        assert hit.metadata["year"] == 1900 + int(hit.document_id.removeprefix("doc"))
        assert hit.source == ("tale" if hit.metadata["year"] % 2 == 0 else "log")


def test_a_text_scores_as_the_sequence_with_that_text(whole: Service):
    (hit,) = whole.client.attribute(QUERY, top_k=1)
    table = whole.client.score(QUERY, sequence_ids=[hit.sequence_id], texts=[hit.text])
    assert table.influence[0] == pytest.approx([hit.influence] * 2, rel=1e-9)


def test_text_and_token_ids_are_the_same_query(whole: Service):
    ids = [0, 1, 2]
    text = whole.client.attribute(prompt="^ ", completion="a")
    assert told(whole.client.attribute(Query.tokens(ids, 2))) == told(text)


def test_the_damping_factor_is_the_requests_and_else_the_models(whole: Service):
    answers = [whole.client.attribute(QUERY, damping_factor=factor) for factor in (None, 0.1, 5.0)]
    assert told(answers[0]) == told(answers[1])
    assert [answer.provenance.damping_factor for answer in answers] == [0.1, 0.1, 5.0]
    assert answers[2].positive[0].influence < answers[0].positive[0].influence


def test_an_answer_says_what_it_was_computed_from(whole: Service):
    answer, model = whole.client.attribute(QUERY, request_id="mine"), whole.client.model("tiny")
    corpus = whole.artefacts.open_corpus()
    assert answer.request_id == "mine"
    assert answer.provenance.corpus_digest == model.corpus_digest == corpus.digest
    assert answer.provenance.engine == model.engine == "fake/float64"
    assert answer.provenance.training_set_size == model.training_set_size == corpus.sequences
    hit = answer.positive[0]
    assert hit.raw_influence == pytest.approx(hit.influence * corpus.sequences, rel=1e-12)
    assert {"tokenize", "precondition", "score", "merge"} <= set(answer.timings)


def test_a_model_lists_its_layers_and_shards(whole: Service):
    model = whole.client.model()
    assert [(layer.name, layer.d_in, layer.d_out) for layer in model.layers] == [("first", 7, 9), ("second", 9, 6)]
    assert [shard.replicas for shard in model.shards] == [1, 1]
    assert model.attributed_parameters == 7 * 9 + 9 * 6 < model.parameters
