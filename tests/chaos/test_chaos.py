"""Each part killed, stopped, cut off and slowed while queries run: every answer is exact, or a typed error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chaos.stage import FAULTS, Fault, Stage, damage, stage
from e2e.harness import launcher, make_artefacts

# Shorter than a call's deadline, and longer: then calls run out of time.
LASTING_S = [1.5, pytest.param(8.0, marks=pytest.mark.exhaustive)]
# What a caller may be told while a part is away.
REASONS = {
    "UNAVAILABLE WORKER_UNAVAILABLE",
    "UNAVAILABLE SHARD_UNAVAILABLE",
    "UNAVAILABLE GRPC_UNAVAILABLE",
    "UNAVAILABLE SERVER_UNAVAILABLE",
    "DEADLINE_EXCEEDED DEADLINE_EXCEEDED",
}


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("chaos")
    with launcher(folder) as launch, stage(launch, make_artefacts(folder), folder) as running:
        yield running


@pytest.mark.parametrize("lasting_s", LASTING_S)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("part", ["worker 1", "front 0"])
def test_answers_are_exact_or_typed_errors(on: Stage, part: str, fault: Fault, lasting_s: float):
    done, traffic = damage(on, part, fault, lasting_s)
    assert not traffic.wrong, traffic.wrong[:3]
    assert done.failed.keys() <= REASONS


@pytest.mark.parametrize("lasting_s", LASTING_S)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_no_call_fails_for_a_cache_that_is_away(on: Stage, fault: Fault, lasting_s: float):
    done, traffic = damage(on, "redis", fault, lasting_s)
    assert not traffic.wrong, traffic.wrong[:3]
    assert not done.failed
