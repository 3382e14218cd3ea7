"""Influence through some layers alone: the same as leaving the others out of the sum, however it is searched."""

from __future__ import annotations

import pytest

from e2e.conftest import Service
from e2e.harness import QUERY, ranked, told, whence
from whence import InvalidRequestError


@pytest.mark.parametrize("layer", ["first", "second"])
@pytest.mark.parametrize("options", [{"search": "full_scan"}, {"search": "index_rerank", "candidates": 1000}])
def test_the_ranking_is_by_the_influence_through_the_layers_that_were_asked_for(
    indexed: Service, layer: str, options: dict
):
    """Broken by: ranking by all layers and showing some; preconditioning that is cached without its layers."""
    corpus = indexed.artefacts.open_corpus()
    ids = [corpus.record(position).sequence_id for position in range(corpus.sequences)]
    table = indexed.client.score(QUERY, sequence_ids=ids, include_layers=True)
    number = table.layers.index(layer)
    expected = {name: parts[number] for name, parts in zip(ids, table.layer_influence[0], strict=True)}
    indexed.client.attribute(QUERY)  # the whole gradient is cached and preconditioned
    answer = indexed.client.attribute(QUERY, layers=[layer], top_k=9, include_layers=True, **options)
    assert [hit.sequence_id for hit in answer] == sorted(expected, key=lambda name: -expected[name])[:9]
    for hit in answer:
        assert hit.influence == pytest.approx(expected[hit.sequence_id], rel=1e-9)
        assert hit.layer_influence == pytest.approx(dict.fromkeys(("first", "second"), 0) | {layer: hit.influence})
    assert answer.provenance.attributed_layers == (layer,)


def test_candidates_are_those_of_the_layers_that_were_asked_for(indexed: Service):
    """Broken by: searching with the sketch of all layers."""
    exact = indexed.client.attribute(QUERY, search="full_scan", layers=["second"], top_k=10)
    found = indexed.client.attribute(QUERY, search="index_only", layers=["second"], top_k=30)
    through_all = indexed.client.attribute(QUERY, search="index_only", top_k=30)
    assert len({hit.sequence_id for hit in found} & {hit.sequence_id for hit in exact}) >= 7
    assert ranked(found.positive) != ranked(through_all.positive)


def test_where_the_shards_are_does_not_matter_to_the_last_bit(indexed: Service, indexed_halves: Service):
    options = {"layers": ["sec*"], "top_k": 12, "direction": "both", "candidates": 24, "include_tokens": True}
    expected = indexed.client.attribute(QUERY, **options)
    assert told(indexed_halves.clients[1].attribute(QUERY, **options)) == told(expected)


def test_all_layers_by_name_are_all_layers(indexed: Service):
    assert told(indexed.client.attribute(QUERY, layers=["second", "f*"])) == told(indexed.client.attribute(QUERY))


def test_a_layer_that_the_model_has_not_is_refused_with_those_it_has(indexed: Service):
    with pytest.raises(InvalidRequestError, match="such as second") as caught:
        indexed.client.attribute(QUERY, layers=["first", "seccond"])
    assert (caught.value.reason, caught.value.field) == ("UNKNOWN_LAYER", "options.layers[1]")


def test_the_command_line_takes_patterns(indexed: Service):
    asked = ("attribute", "--prompt", "the keeper lit ", "--completion", "the lamp", "-k", "2")
    done = whence(*asked, "--layer", "*rst", server=indexed.front.address)
    assert done.returncode == 0, done.stderr
    assert "through 1 layers alone" in " ".join(done.stdout.split())
