"""Ten times more than can be done, for some seconds: who is answered, who is refused, and how."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.harness import Launcher, launcher
from load.open_loop import SHARES, Service, corpus_of, rates, slow_worker, start
from load.traffic import Traffic, generator

SECONDS = 3.0
BOUNDS = {
    "by number": {"MAX_RUNNING": "4", "MAX_WAITING": "8"},
    "by time": {"MAX_RUNNING": "4", "MAX_WAIT_S": "0.5"},
}


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launcher(tmp_path_factory.mktemp("load")) as starting:
        yield starting


@pytest.fixture(scope="module", params=list(BOUNDS))
def service(launch: Launcher, request: pytest.FixtureRequest) -> Service:
    """A front end before a worker that scans some ten times a second."""
    folder: Path = launch.folder / str(request.param).replace(" ", "_")
    folder.mkdir()
    worker = slow_worker(launch, corpus_of(folder / "artefacts"), delay_ms=10.0)
    worker.wait_for("serving")
    return start(launch, worker, **BOUNDS[request.param])


@pytest.fixture(scope="module")
def overload(service: Service) -> Traffic:
    """What became of ten times more calls than can be answered."""

    async def offer() -> Traffic:
        async with generator(service.target) as generate:
            capacity_per_s = await generate.capacity(1.0, concurrency=6)
            return await generate.offer(rates(10 * capacity_per_s), SECONDS)

    return asyncio.run(offer())


def test_under_overload_calls_are_answered_or_refused_by_name_and_health_is_answered(overload: Traffic):
    assert set(overload.failures()) == {"QUEUE_FULL"}
    assert overload.answered()
    assert len(overload.health_s) > 3


def test_under_overload_tenants_are_answered_in_fair_shares(overload: Traffic):
    asked, answered = (
        {tenant: sum(outcome.tenant == tenant for outcome in outcomes) for tenant in SHARES}
        for outcomes in (overload.outcomes, overload.answered())
    )
    assert asked["busy"] > 5 * asked["other"]
    # The other one asks for as much as can be done at all. In order of arrival it would get a tenth.
    assert 0.25 < answered["other"] / answered["busy"] < 2


def test_after_overload_everyone_is_answered(service: Service, overload: Traffic):
    async def offer() -> Traffic:
        async with generator(service.target) as generate:
            return await generate.offer(rates(1.0), SECONDS)

    assert overload.outcomes
    assert asyncio.run(offer()).failures() == {}
    assert service.front.metrics().value("whence_queue_running") == 0
