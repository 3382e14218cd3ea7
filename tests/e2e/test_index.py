"""With an index: the same influences as a scan, of fewer sequences, and an honest word on what may be missing."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.conftest import Service, serve, serve_unrefreshed, start_slow
from e2e.harness import QUERY, Artefacts, Launcher, environment, influences, ranked, told, until, whence
from whence import (
    Attribution,
    Filter,
    InvalidRequestError,
    MismatchError,
    NotFoundError,
    Query,
    UnavailableError,
)
from whence_backends.index import Index

QUERIES = [QUERY, Query.text("a gull ", "at sea"), Query.text("", "fog")]


def test_an_index_is_used_where_there_is_one(indexed: Service):
    answer = indexed.client.attribute(QUERY)
    assert answer.search == "union_rerank"
    assert answer.provenance.index_digest == indexed.client.model().index.digest
    assert answer.sequences_searched == indexed.artefacts.open_corpus().sequences


def test_hits_have_the_exact_influences_of_a_scan(indexed: Service):
    exact = influences(indexed.client, indexed.artefacts)
    answer = indexed.client.attribute(QUERY, top_k=5, candidates=20, direction="both", noise_sample=0)
    assert answer.sequences_scored <= 40
    for hit in answer:
        assert hit.raw_influence / answer.provenance.training_set_size == pytest.approx(
            exact[hit.sequence_id], rel=1e-9
        )
    assert [hit.raw_influence for hit in answer.positive] == sorted(
        (h.raw_influence for h in answer.positive), reverse=True
    )
    assert [hit.raw_influence for hit in answer.negative] == sorted(h.raw_influence for h in answer.negative)


def test_with_every_sequence_a_candidate_the_answer_is_that_of_a_scan(indexed: Service, whole: Service):
    options = {"top_k": 12, "direction": "both", "include_layers": True, "include_tokens": True}
    scanned = whole.client.attribute(QUERY, **options)
    answer = indexed.client.attribute(QUERY, **options, candidates=1000)
    assert [hit.sequence_id for hit in answer] == [hit.sequence_id for hit in scanned]
    assert [hit.raw_influence for hit in answer] == pytest.approx([hit.raw_influence for hit in scanned], rel=1e-9)
    assert answer.positive_recall.recall == answer.negative_recall.recall == 1.0
    assert answer.positive_recall.margin is None


def test_a_scan_can_still_be_asked_for(indexed: Service, whole: Service):
    answer = indexed.client.attribute(QUERY, search="full_scan")
    assert answer.search == "full_scan"
    assert ranked(answer.positive) == ranked(whole.client.attribute(QUERY).positive)
    assert answer.positive_recall is None
    assert answer.provenance.index_digest == ""


@pytest.mark.parametrize("search", ["index_rerank", "tfidf_rerank"])
def test_candidates_and_a_sample_tell_the_noise(indexed: Service, whole: Service, search: str):
    options = {"top_k": 5, "search": search, "candidates": 20, "noise_sample": 30}
    scanned = whole.client.attribute(QUERY, top_k=5)
    answer = indexed.client.attribute(QUERY, **options)
    assert answer.noise is not None
    assert scanned.noise is not None
    assert 0 < answer.noise.sampled < answer.noise.sequences == answer.sequences_scored
    assert answer.noise.scale == pytest.approx(scanned.noise.scale, rel=0.6)
    assert all(0.5 <= hit.significance <= 1 for hit in answer)
    assert indexed.client.attribute(QUERY, **options).noise == answer.noise


def test_a_sample_is_drawn_from_what_passes_the_filter(indexed: Service):
    only = Filter(sources=["tale"])
    answer = indexed.client.attribute(QUERY, top_k=3, candidates=3, noise_sample=20, only=only)
    assert answer.noise is not None
    assert 20 <= answer.noise.sequences <= answer.sequences_searched < indexed.artefacts.open_corpus().sequences


def test_fewer_candidates_say_that_they_may_miss_something(indexed: Service):
    few, many = (indexed.client.attribute(QUERY, top_k=10, candidates=count).positive_recall for count in (10, 80))
    assert 0 <= few.recall < many.recall <= 1
    assert few.margin < many.margin
    assert (few.candidates, few.reranked) == (10, 10)


def test_the_index_alone_gives_estimates_and_says_so(indexed: Service):
    answer = indexed.client.attribute(QUERY, search="index_only", top_k=30)
    assert [warning.code for warning in answer.warnings if warning.code == "INFLUENCES_ESTIMATED"]
    assert (answer.sequences_scored, answer.positive_recall) == (0, None)
    exact = indexed.client.attribute(QUERY, search="full_scan", top_k=10)
    assert len({hit.sequence_id for hit in answer} & {hit.sequence_id for hit in exact}) >= 7


@pytest.mark.parametrize("replica", [0, 1])
def test_where_the_shards_are_does_not_matter_to_the_last_bit(indexed: Service, indexed_halves: Service, replica: int):
    options = {"top_k": 12, "direction": "both", "candidates": 40}
    for query in QUERIES:
        expected = indexed.client.attribute(query, **options)
        assert told(indexed_halves.clients[replica].attribute(query, **options)) == told(expected)


def test_searching_with_torch_gives_the_same_answers_to_the_bit(
    launch: Launcher, indexed: Service, with_index: Artefacts
):
    """As a GPU does it, here on the CPU: ``cpu:0`` is a device of torch."""
    arguments = ("worker", *with_index.options(), "--name", "tiny", "--engine", "fake", "--address", "127.0.0.1:0")
    settings = {"DRAIN_S": "0", "BATCH_TOKENS": "256", "SEARCH_DEVICE": "cpu:0"}
    worker = launch.start(arguments, {f"WHENCE_WORKER_{name}": value for name, value in settings.items()}, path=None)
    service = serve(with_index, [worker], [launch.front(worker)])
    for query in QUERIES:
        options = {"top_k": 12, "direction": "both", "candidates": 40}
        assert told(service.client.attribute(query, **options)) == told(indexed.client.attribute(query, **options))
    assert "libtorch" in worker.libraries()


def test_a_device_that_is_not_there_keeps_a_worker_from_serving(launch: Launcher, with_index: Artefacts):
    arguments = ("worker", *with_index.options(), "--engine", "fake", "--address", "127.0.0.1:0")
    worker = launch.start(arguments, {"WHENCE_WORKER_SEARCH_DEVICE": "abacus"}, path=None)
    assert worker.process.wait(timeout=60) != 0
    assert "no device 'abacus'" in worker.log.read_text()


def test_a_batch_is_the_same_bit_for_bit(indexed: Service, indexed_halves: Service):
    expected = indexed.client.attribute_batch(QUERIES, candidates=40)
    found = indexed_halves.clients[1].attribute_batch(QUERIES, candidates=40)
    assert [told(answer) for answer in found] == [told(answer) for answer in expected]


def test_another_damping_needs_no_other_index(indexed: Service):
    """Broken by: searching with the index's damping, which finds other candidates."""
    estimates = [
        [hit.raw_influence for hit in indexed.client.attribute(QUERY, damping_factor=damping, search="index_only")]
        for damping in (0.1, 5.0)
    ]
    assert estimates[0][0] > 2 * estimates[1][0]


def test_a_stream_tells_how_far_the_candidates_are(launch: Launcher, with_index: Artefacts):
    worker = start_slow(launch, with_index, delay_s=0.2)
    service = serve(with_index, [worker], [launch.front(worker)])
    *partial, last = service.client.attribute_stream(QUERY, candidates=60)
    assert isinstance(last, Attribution)
    scored = [progress.sequences_scored for progress in partial]
    assert scored == sorted(scored)
    assert 0 < scored[0] < 60
    assert {progress.sequences_total for progress in partial} == {60}


def test_what_the_deadline_cut_short_says_so(launch: Launcher, with_index: Artefacts):
    """Broken by: a ranking of the candidates that were scored in time, passed off as one of all of them."""
    worker = start_slow(launch, with_index, delay_s=0.3)
    service = serve(with_index, [worker], [launch.front(worker)])
    service.client.attribute(QUERY, top_k=1, candidates=1)  # its gradient is cached now
    answer = service.client.attribute(QUERY, top_k=3, candidates=80, timeout_s=2.5)
    assert [warning.code for warning in answer.warnings if warning.code == "RERANK_INCOMPLETE"]
    recall = answer.positive_recall
    assert 0 < recall.reranked < recall.candidates == 80
    assert recall.recall < 1


def test_a_worker_that_is_down_is_named(launch: Launcher, with_index: Artefacts):
    names = [shard.name for shard in with_index.open_corpus().shards]
    workers = [launch.worker(with_index, "--shard", name) for name in names]
    service = serve_unrefreshed(launch, with_index, workers)
    workers[1].process.send_signal(signal.SIGKILL)
    workers[1].process.wait()
    with pytest.raises(UnavailableError, match=names[1]):
        service.client.attribute(QUERY)


def test_without_an_index_it_cannot_be_asked(whole: Service):
    with pytest.raises(MismatchError, match="whence index") as caught:
        whole.client.attribute(QUERY, search="index_rerank")
    assert caught.value.reason == "MISSING_INDEX"


def test_fewer_candidates_than_hits_are_refused(indexed: Service):
    with pytest.raises(InvalidRequestError, match="fewer than the 20") as caught:
        indexed.client.attribute(QUERY, top_k=20, candidates=5)
    assert caught.value.reason == "TOO_FEW_CANDIDATES"


def test_more_hits_than_the_corpus_has_are_all_of_it(indexed: Service):
    answer = indexed.client.attribute(QUERY, top_k=900, direction="both")
    assert len(answer.positive) + len(answer.negative) == indexed.artefacts.open_corpus().sequences
    assert [warning.code for warning in answer.warnings if warning.code == "TOP_K_EXCEEDS_CORPUS"]


def test_a_damaged_shard_of_the_index_keeps_a_worker_from_serving(launch: Launcher, with_index: Artefacts, tmp_path):
    copy = shutil.copytree(with_index.index, tmp_path / "index")
    [path] = copy.glob("*1.codes.npy")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    worker = launch.worker(replace(with_index, index=copy))
    assert worker.process.wait(timeout=60) != 0
    assert path.name in worker.log.read_text()


def test_the_command_line_asks_it_and_tells_how_complete_it_is(indexed: Service):
    done = whence(
        "attribute", "--prompt", "the keeper lit ", "--completion", "the lamp", "-k", "5", "--candidates", "20",
        server=indexed.front.address,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "of the truly most positive are here: 20 candidates were scored" in done.stdout
    told_models = whence("models", "--json", server=indexed.front.address)
    assert json.loads(told_models.stdout)["models"][0]["index"]["bits"] == 1


@pytest.mark.parametrize("search", ["index_rerank", "full_scan"])
def test_only_what_the_filter_lets_through_is_found(indexed: Service, indexed_halves: Service, search: str):
    tales = Filter(sources=["tale"], metadata={"year": "1910"})
    for service in (indexed, indexed_halves):
        answer = service.client.attribute(QUERY, search=search, only=tales, top_k=5, direction="both")
        assert {hit.document_id for hit in answer} == {"doc10"}
        whole = service.client.attribute(QUERY, search=search, only=Filter(sources=["tale"]), top_k=100)
        assert {hit.source for hit in whole} == {"tale"}
        assert whole.positive[0].raw_influence == max(hit.raw_influence for hit in whole)
    everything = indexed.client.attribute(QUERY, search="full_scan", top_k=100)
    tales_of_all = [hit.sequence_id for hit in everything if hit.source == "tale"]
    assert [hit.sequence_id for hit in whole.positive] == tales_of_all


@pytest.mark.parametrize("search", ["index_rerank", "full_scan"])
def test_a_filter_that_lets_nothing_through_is_an_error(indexed: Service, search: str):
    with pytest.raises(NotFoundError, match="check the spelling") as caught:
        indexed.client.attribute(QUERY, search=search, only=Filter(sources=["tail"]))
    assert caught.value.reason == "MATCHES_NOT_FOUND"


def test_a_filter_that_can_let_nothing_through_is_refused(indexed: Service):
    with pytest.raises(InvalidRequestError, match="sorts after") as caught:
        indexed.client.attribute(QUERY, only=Filter(first_document_id="doc9", last_document_id="doc1"))
    assert caught.value.reason == "INVALID_FILTER"


@pytest.mark.parametrize("search", ["index_rerank", "full_scan"])
def test_a_partial_answer_names_what_it_lacks(launch: Launcher, with_index: Artefacts, search: str):
    """Broken by: hits of the shard that is gone; a recall that counts its sequences as found."""
    shards = with_index.open_corpus().shards
    workers = [launch.worker(with_index, "--shard", shard.name) for shard in shards]
    service = serve_unrefreshed(launch, with_index, workers)
    options = {"search": search, "top_k": 100, "direction": "both", "return_partial_success": True}
    complete = service.client.attribute(QUERY, **options)
    assert (complete.unreachable_shards, complete.corpus_share) == ((), 1.0)
    workers[1].process.send_signal(signal.SIGKILL)
    workers[1].process.wait()
    for query in QUERIES:  # some of which the one that is gone would have prepared
        answer = service.client.attribute(query, **options)
        assert answer.unreachable_shards == (shards[1].name,)
    assert answer.corpus_share == pytest.approx(shards[0].sequences / sum(shard.sequences for shard in shards))
    assert len(answer.positive) + len(answer.negative) == shards[0].sequences
    for recall in (answer.positive_recall, answer.negative_recall):
        assert recall is None if search == "full_scan" else recall.recall == answer.corpus_share
    assert [warning.code for warning in answer.warnings if warning.code == "PARTIAL_ANSWER"]
    with pytest.raises(UnavailableError):
        service.client.attribute(QUERY, search=search)


def test_a_worker_that_dies_while_it_scores_leaves_a_partial_answer_without_it(launch: Launcher, with_index: Artefacts):
    """Broken by: hits that it had scored before; its sequences counted as searched; waiting for it to the deadline."""
    shards = with_index.open_corpus().shards
    workers = [start_slow(launch, with_index, "--shard", shard.name, delay_s=0.1) for shard in shards]
    service = serve_unrefreshed(launch, with_index, workers)
    service.client.attribute(QUERY, top_k=1, candidates=1)  # its gradient is cached now
    answer = None
    options = {"top_k": 100, "candidates": 100, "direction": "both", "return_partial_success": True}
    for event in service.client.attribute_stream(QUERY, **options):
        if answer is None and event.sequences_scored:
            workers[1].kill()
        answer = event
    assert isinstance(answer, Attribution)
    assert answer.unreachable_shards == (shards[1].name,)
    assert answer.sequences_searched == answer.sequences_scored == shards[0].sequences
    assert len(answer.positive) + len(answer.negative) == shards[0].sequences
    corpus = with_index.open_corpus()
    assert all(corpus.position_of(hit.sequence_id) < shards[0].sequences for hit in answer)
    assert answer.positive_recall.recall == answer.corpus_share < 1
    with pytest.raises(UnavailableError, match=shards[1].name):
        service.client.attribute(QUERY, candidates=100)


def test_a_shard_that_is_known_to_be_gone_is_not_waited_for(launch: Launcher, with_index: Artefacts):
    shards = with_index.open_corpus().shards
    workers = [launch.worker(with_index, "--shard", shard.name) for shard in shards]
    service = serve(with_index, workers, [launch.front(*workers)])
    workers[1].process.send_signal(signal.SIGKILL)
    until(lambda: service.client.model().uncovered_shards)
    with pytest.raises(UnavailableError, match=shards[1].name):
        service.client.attribute(QUERY)
    answer = service.client.attribute(QUERY, return_partial_success=True)
    assert answer.unreachable_shards == (shards[1].name,)
    assert 0 < answer.corpus_share < 1


def test_torchrun_shares_the_shards_out(with_index: Artefacts, tmp_path):
    """Two processes of a real torchrun; the index is the one that a single process builds."""
    made = replace(with_index, index=None)
    command = [
        str(Path(sys.executable).with_name("torchrun")), "--nproc-per-node", "2", "--no-python", sys.executable, "-m",
        "whence", "index", "--engine", "fake", *made.options(), "--out", str(tmp_path / "index"),
        "--values", "512", "--keep", "0.5", "--layer-groups", "1",
    ]  # fmt: skip
    done = subprocess.run(command, env=environment({}, None), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert Index.open(tmp_path / "index").digest == Index.open(with_index.index).digest
