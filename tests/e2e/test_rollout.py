"""A new generation takes over under traffic: no call fails, and every answer is exactly the old one's or the new one's.

Real processes: two shards a generation, a worker each, and two front ends that know the addresses of both generations.
Workers drain without a delay, so that calls under way are overtaken, and the callers do not call again by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from e2e.conftest import start_slow
from e2e.harness import QUERY, Artefacts, Launcher, Process, free_port, make_corpus, make_index, told, until
from e2e.traffic import CALLS, WITH_INDEX, Call, Traffic, answers, traffic
from whence import Attribution, Client, Progress
from whence_backends.corpus import Corpus
from whence_backends.engines.fake import fit_fake

# One batch a call, so that every influence is the same to the last bit whoever else asks.
SETTINGS = {"BATCH_TOKENS": "256", "SHARE_BATCHES": "false"}

pytestmark = pytest.mark.slow


def new_factors(old: Artefacts, folder: Path) -> Artefacts:
    factors = folder / "factors"
    fit_fake(old.model, old.open_corpus(), factors, layer_scale=3.0)
    return make_index(replace(old, factors=factors), folder / "index")


def new_corpus(old: Artefacts, folder: Path) -> Artefacts:
    corpus = make_corpus(folder, old.model, documents=70)
    fit_fake(old.model, Corpus.open(corpus), folder / "factors")
    return make_index(replace(old, corpus=corpus, factors=folder / "factors"), folder / "index")


def new_index(old: Artefacts, folder: Path) -> Artefacts:
    return make_index(old, folder / "index", width=1024)


@dataclass(kw_only=True)
class Side:
    """One generation: its artefacts, the addresses of its workers, and those that run."""

    artefacts: Artefacts
    addresses: list[str]
    launch: Launcher
    workers: list[Process]

    def start(self, *numbers: int) -> None:
        """Start the workers of those shards and wait until they serve."""
        shards = self.artefacts.open_corpus().shards
        started = [
            self.launch.worker(
                self.artefacts, "--shard", shards[number].name, address=self.addresses[number], **SETTINGS
            )
            for number in numbers
        ]
        for worker in started:
            worker.wait_for("serving")
        self.workers += started

    def end(self) -> None:
        """Drain its workers, one after another."""
        for worker in self.workers:
            worker.terminate()
            assert worker.exit_code() == 0
        self.workers.clear()


def side(launch: Launcher, artefacts: Artefacts) -> Side:
    addresses = [f"127.0.0.1:{free_port()}" for _ in artefacts.open_corpus().shards]
    return Side(artefacts=artefacts, addresses=addresses, launch=launch, workers=[])


def caller(front: Process) -> Client:
    return Client(front.address, retry=None, retry_overload=False, timeout_s=60)


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """An old and a new generation behind two front ends, and what each of them answers where there is no other."""

    launch: Launcher
    sides: dict[str, Side]
    fronts: list[Process]
    calls: dict[str, Call]
    expected: dict[str, dict[str, str]]

    def learn(self, name: str) -> None:
        """Ask one generation everything, through a front end that knows its workers alone."""
        front = self.launch.front(*self.sides[name].addresses)
        front.wait_for("serving")
        self.expected[name] = answers(caller(front), self.calls)
        front.kill()

    def wait_reachable(self, count: int) -> None:
        """Wait until every front end has seen so many workers."""
        until(lambda: all(front.metrics().value("whence_workers", state="reachable") == count for front in self.fronts))

    def generations(self, given: list[tuple[str, str]]) -> set[str]:
        """The generations that answers come from; fails for an answer that is neither's, to the last bit."""
        for name, text in given:
            assert text in {known[name] for known in self.expected.values()}, f"{name}: {text}"
        return {side for name, text in given for side, known in self.expected.items() if known[name] == text}

    def roll_over(self, before: str, after: str, running: Traffic) -> None:
        """Start the workers of one generation, one by one, then drain those of the other."""
        self.sides[after].start(0)
        self.wait_reachable(3)
        assert self.generations(running.more(20)) == {before}  # a part of a generation answers nothing
        self.sides[after].start(1)
        self.wait_reachable(4)
        self.sides[before].end()
        self.wait_reachable(2)
        self.learn(after)
        assert self.generations(running.more(20)) == {after}


@pytest.fixture
def begin(launch: Launcher, with_index: Artefacts, tmp_path: Path) -> Callable[..., Rollout]:
    """Start the old generation behind two front ends, which know the addresses of the new one, too."""

    def started(change: Callable[[Artefacts, Path], Artefacts], calls: dict[str, Call]) -> Rollout:
        (tmp_path / "new").mkdir()
        sides = {"old": side(launch, with_index), "new": side(launch, change(with_index, tmp_path / "new"))}
        addresses = [address for generation in sides.values() for address in generation.addresses]
        sides["old"].start(0, 1)
        fronts = [launch.front(*addresses) for _ in range(2)]
        rollout = Rollout(launch=launch, sides=sides, fronts=fronts, calls=calls, expected={})
        rollout.learn("old")
        for front in fronts:
            front.wait_for("serving")
        rollout.wait_reachable(2)
        return rollout

    return started


@pytest.mark.parametrize(
    ("change", "calls"), [(new_factors, CALLS), (new_corpus, {**CALLS, **WITH_INDEX}), (new_index, WITH_INDEX)]
)
def test_a_new_generation_takes_over_without_a_failed_or_mixed_answer(begin, change, calls):
    """Broken by: a call that fails with the worker it began with; one that goes on with the other generation's."""
    rollout = begin(change, calls)
    with traffic([caller(front) for front in rollout.fronts], calls) as running:
        rollout.roll_over("old", "new", running)
        if change is new_factors:
            rollout.roll_over("new", "old", running)
    assert not running.failures
    assert rollout.generations(running.answers) == {"old", "new"}
    assert not set(rollout.expected["old"].values()) & set(rollout.expected["new"].values())


def test_workers_that_are_replaced_at_their_addresses_one_by_one_fail_nothing(
    launch: Launcher, with_index: Artefacts, tmp_path: Path
):
    """As a StatefulSet does it: two replicas, each of which stops before its successor starts."""
    (tmp_path / "new").mkdir()
    new_artefacts = new_factors(with_index, tmp_path / "new")
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    workers = [launch.worker(with_index, address=address, **SETTINGS) for address in addresses]
    for worker in workers:
        worker.wait_for("serving")
    front = launch.front(*addresses)
    front.wait_for("serving")
    until(lambda: front.metrics().value("whence_workers", state="reachable") == 2)
    expected = [answers(caller(front), CALLS)]
    with traffic([caller(front)], CALLS, callers=2) as running:
        for worker, address in zip(workers, addresses, strict=True):
            running.more(10)
            worker.terminate()
            assert worker.exit_code() == 0
            successor = launch.worker(new_artefacts, address=address, **SETTINGS)
            successor.wait_for("serving")
            until(lambda: front.metrics().value("whence_workers", state="reachable") == 2)
        running.more(10)
    expected.append(answers(caller(front), CALLS))
    assert not running.failures
    assert {text for _, text in running.answers} <= {known[name] for known in expected for name in known}
    assert running.answers[-1][1] in expected[1].values()


def test_a_call_whose_workers_end_while_they_scan_is_answered_by_the_other_generation(
    launch: Launcher, with_index: Artefacts, tmp_path: Path
):
    """Broken by: an answer that is found by one generation's scan and described by another's."""
    (tmp_path / "new").mkdir()
    new_artefacts, address = new_factors(with_index, tmp_path / "new"), f"127.0.0.1:{free_port()}"
    old = start_slow(launch, with_index, delay_s=0.05)
    old.wait_for("serving")
    front = launch.front(old, address, REFRESH_S="600")
    front.wait_for("serving")
    start_slow(launch, new_artefacts, delay_s=0, address=address).wait_for("serving")
    events = caller(front).attribute_stream(QUERY, search="full_scan", top_k=9)
    assert isinstance(next(events), Progress)
    old.terminate()
    *_, last = events
    alone = launch.front(address)
    alone.wait_for("serving")
    expected = caller(alone).attribute(QUERY, search="full_scan", top_k=9)
    assert isinstance(last, Attribution)
    assert told(last) == told(expected)
    assert [line for line in front.lines() if line["event"] == "a call begins anew with other workers"]
