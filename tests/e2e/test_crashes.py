"""Processes that die, callers that leave, time that runs out: never a short answer, always a typed error."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.conftest import Service, serve, start_slow
from e2e.harness import QUERY, Artefacts, Launcher, Process, told, until
from whence import Attribution, DeadlineError, Progress, UnavailableError


def scored(worker: Process) -> float:
    return worker.metrics().value("whence_sequences_scored_total")


def has_stopped(worker: Process) -> bool:
    """Whether no batch was scored in the time that ten take."""
    before = scored(worker)
    time.sleep(0.5)
    return scored(worker) == before


def assert_scan_ends_early(slow: Service, before: float) -> None:
    until(lambda: has_stopped(slow.worker))
    assert 0 < scored(slow.worker) - before < slow.artefacts.open_corpus().sequences


def test_a_worker_killed_in_a_scan_fails_the_call_and_is_found_again(launch: Launcher, halves: Service):
    artefacts, settled = halves.artefacts, halves.workers[0]
    shards = [shard.name for shard in artefacts.open_corpus().shards]
    doomed = start_slow(launch, artefacts, "--shard", shards[1], delay_s=0.1)
    service = serve(artefacts, [settled, doomed], [launch.front(settled, doomed)])
    events = service.client.attribute_stream(QUERY)
    assert isinstance(next(events), Progress)
    doomed.kill()
    with pytest.raises(UnavailableError, match="so none is given") as caught:
        list(events)
    assert caught.value.reason == "WORKER_UNAVAILABLE"
    assert caught.value.details["worker"] == doomed.address
    assert caught.value.details["shards"] == shards[1]
    assert_shard_is_missed(service, shards[1])
    again = launch.worker(artefacts, "--shard", shards[1], address=doomed.address, BATCH_TOKENS="64")
    again.wait_for("serving")
    until(lambda: not service.client.model().uncovered_shards)
    assert service.client.attribute(QUERY).sequences_scored == artefacts.open_corpus().sequences


def assert_shard_is_missed(service: Service, shard: str) -> None:
    """Until the worker is back, calls fail at once and the model says what is missing."""
    until(lambda: service.client.model().uncovered_shards == (shard,))
    with pytest.raises(UnavailableError) as caught:
        service.client.attribute(QUERY)
    assert (caught.value.reason, caught.value.details["shards"]) == ("SHARD_UNAVAILABLE", shard)


def test_a_call_whose_time_runs_out_fails_and_its_scan_stops(slow: Service):
    before = scored(slow.worker)
    with pytest.raises(DeadlineError):
        slow.client.attribute(QUERY, timeout_s=0.5)
    assert_scan_ends_early(slow, before)


def test_a_call_that_is_given_up_stops_its_scan(slow: Service):
    before = scored(slow.worker)
    events = slow.client.attribute_stream(QUERY)
    next(events)
    events.close()
    assert_scan_ends_early(slow, before)


def test_after_all_that_the_answer_is_right(slow: Service, whole: Service):
    found, expected = slow.client.attribute(QUERY), whole.client.attribute(QUERY)
    assert [hit.sequence_id for hit in found] == [hit.sequence_id for hit in expected]
    assert [hit.influence for hit in found] == pytest.approx([hit.influence for hit in expected], rel=1e-9)


def test_told_to_stop_the_front_end_finishes_the_call_in_flight(launch: Launcher, slow: Service):
    front = launch.front(slow.worker)
    service = serve(slow.artefacts, [slow.worker], [front])
    events = service.client.attribute_stream(QUERY)
    assert isinstance(next(events), Progress)
    front.terminate()
    *_, last = events
    assert isinstance(last, Attribution)
    assert last.sequences_scored == slow.artefacts.open_corpus().sequences
    assert front.exit_code() == 0
    assert front.lines()[-1]["event"] == "stopped"
    with pytest.raises(UnavailableError):
        service.client.attribute(QUERY)


def test_told_to_stop_a_worker_finishes_the_call_in_flight(launch: Launcher, artefacts: Artefacts):
    """It answers for drain_s more: the call's last hop, which looks up what was found, is a call of its own."""
    worker = start_slow(launch, artefacts, delay_s=0.02, DRAIN_S="3")
    service = serve(artefacts, [worker], [launch.front(worker)])
    events = service.client.attribute_stream(QUERY)
    assert isinstance(next(events), Progress)
    worker.terminate()
    until(lambda: service.client.model().uncovered_shards)  # it gets no new work
    *_, last = events
    assert isinstance(last, Attribution)
    assert worker.exit_code() == 0
    assert worker.lines()[-1]["event"] == "stopped"


def test_many_callers_at_once_get_the_same_answer(whole: Service):
    expected = told(whole.client.attribute(QUERY, direction="both"))
    ready = threading.Barrier(8)

    def ask(_: int) -> Attribution:
        ready.wait()
        return told(whole.client.attribute(QUERY, direction="both"))

    with ThreadPoolExecutor(8) as pool:
        assert all(answer == expected for answer in pool.map(ask, range(8)))
