"""Which generation answers: pure, so tried on every case that a cluster can be in."""

from __future__ import annotations

import itertools

import pytest

from whence.errors import InvalidRequestError, NotFoundError, UnavailableError
from whence.v1 import model_pb2
from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.workers.placement import WorkerView, build_placement


def view(address, shards="ab", *, model="m", factors="f1", reachable=True, engine="e"):
    info = worker_service_pb2.GetInfoResponse(
        model=model_pb2.Model(name=model, model_digest="m1", factors_digest=factors, corpus_digest="c1", engine=engine),
        shards=[worker_service_pb2.CorpusShard(shard=shard, sequences=5) for shard in shards],
        corpus_shards=["a", "b"],
    )
    return WorkerView(address=address, info=info, reachable=reachable)


def test_shards_are_held_by_every_reachable_worker_that_has_them():
    generation = build_placement([view("w2"), view("w1", "a"), view("w3", reachable=False)]).choose("m")
    assert generation.shards == {"a": ("w1", "w2"), "b": ("w2",)}
    assert generation.workers == ("w1", "w2")


def test_workers_that_differ_in_the_size_of_the_training_set_are_told_apart_and_the_largest_counts():
    """Broken by: taking what the first worker says, so that an answer depends on addresses."""
    views = [view("w1", "a"), view("w2", "b"), view("w3")]
    for one, size in zip(views, (5, 1000, 5), strict=True):
        one.info.model.training_set_size = size
        one.info.model.warnings.add(code="SAID", message="by all of them")
    model = build_placement(views).choose("m").model
    assert model.training_set_size == 1000
    assert [warning.code for warning in model.warnings] == ["SAID", "TRAINING_SETS_DIFFER"]
    assert "5, 1,000" in model.warnings[1].message


def test_of_the_errors_that_workers_found_the_worst_counts():
    """Broken by: taking what the first worker says; counting a worker that cannot tell as exact."""
    views = [view("w1", "a"), view("w2", "b"), view("w3")]
    assert not build_placement(views).choose("m").model.HasField("gradient_error")
    for one, error in zip(views[1:], (3e-6, 2e-4), strict=True):
        one.info.model.gradient_error = error
    assert build_placement(views).choose("m").model.gradient_error == 2e-4


def certified(digests: list[str]) -> tuple[str, list[str]]:
    """Return the digest of the certificate of a generation whose workers serve these, and what it is warned of."""
    views = [view(f"w{number}") for number in range(len(digests))]
    for one, digest in zip(views, digests, strict=True):
        if digest:
            one.info.model.certificate.digest = digest
    model = build_placement(views).choose("m").model
    return model.certificate.digest, [warning.code for warning in model.warnings]


def test_the_certificate_that_all_workers_share_is_the_generations():
    assert certified(["a", "a"]) == ("a", [])
    assert certified(["", ""]) == ("", [])


@pytest.mark.parametrize("digests", [["a", "b"], ["a", ""], ["", "a"], ["b", "a", "a"]])
def test_of_certificates_that_differ_none_counts_and_that_is_said(digests: list[str]):
    """Broken by: taking that of the first worker, or of those that have one."""
    assert certified(digests) == ("", ["CERTIFICATES_DIFFER"])


def test_shards_of_different_generations_are_never_put_together():
    placement = build_placement([view("w1", "a", factors="f1"), view("w2", "b", factors="f2")])
    with pytest.raises(UnavailableError) as caught:
        placement.choose("m")
    assert caught.value.reason == "SHARD_UNAVAILABLE"


def test_a_complete_generation_wins_over_a_larger_incomplete_one():
    views = [view("w1", factors="f2"), *(view(f"x{n}", "a", factors="f1") for n in range(5))]
    assert build_placement(views).choose("m").id.factors_digest == "f2"


def test_of_complete_generations_the_one_with_more_replicas_of_its_scarcest_shard_wins():
    views = [
        view("w1", factors="f1"),
        view("w2", "a", factors="f1"),
        view("x1", factors="f2"),
        view("x2", factors="f2"),
    ]
    assert build_placement(views).choose("m").id.factors_digest == "f2"


def test_at_a_tie_more_workers_win_and_then_the_lower_digest():
    tie = [view("w1", factors="f1"), view("x1", factors="f2")]
    assert build_placement(tie).choose("m").id.factors_digest == "f1"
    assert build_placement([*tie, view("x2", "a", factors="f2")]).choose("m").id.factors_digest == "f2"


def test_the_choice_does_not_depend_on_the_order_in_which_workers_answered():
    views = [
        view("w1", factors="f1"),
        view("w2", factors="f2"),
        view("w3", "a", factors="f2"),
        view("w4", model="n"),
    ]
    placements = [build_placement(order) for order in itertools.permutations(views)]
    assert all(placement == placements[0] for placement in placements)


def test_a_shard_whose_last_worker_went_away_is_named():
    placement = build_placement([view("w1", "a"), view("w2", "b", reachable=False)], silent=["w2"])
    with pytest.raises(UnavailableError) as caught:
        placement.choose("m")
    assert caught.value.details == {"model": "m", "shards": "b"}
    assert placement.served == ()


def test_a_shard_that_nobody_ever_held_is_named():
    with pytest.raises(UnavailableError, match="'m': b;"):
        build_placement([view("w1", "a")]).choose("m")


def test_a_worker_without_any_corpus_shard_serves_nothing():
    info = worker_service_pb2.GetInfoResponse(model=model_pb2.Model(name="m"))
    placement = build_placement([WorkerView(address="w1", info=info)])
    assert placement.served == ()


def test_an_unknown_model_is_not_found_and_the_known_ones_are_listed():
    placement = build_placement([view("w1"), view("w2", model="n")])
    with pytest.raises(NotFoundError) as caught:
        placement.choose("x")
    assert (caught.value.reason, caught.value.details["models"]) == ("MODEL_NOT_FOUND", "m, n")


def test_the_name_may_be_left_out_where_only_one_model_is_known():
    assert build_placement([view("w1")]).choose("").id.model == "m"
    with pytest.raises(InvalidRequestError) as caught:
        build_placement([view("w1"), view("w2", model="n")]).choose("")
    assert (caught.value.reason, caught.value.field) == ("MISSING_MODEL", "model")


def test_engines_of_a_mixed_generation_are_all_named():
    assert build_placement([view("w1", engine="y"), view("w2", engine="x")]).choose("m").engines == ("x", "y")
