"""From bind to drain: what a worker answers at each point of its life."""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from whence.errors import OverloadedError, UnavailableError
from whence.worker.v1 import worker_service_pb2 as pb
from whence.worker.v1 import worker_service_pb2_grpc as stubs
from whence_backends.worker.serving.server import SERVICE, Worker
from worker.harness import Artefacts, Running, Serve, ask, failure, make_engine, until, write_factors

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health(channel: grpc.aio.Channel, service: str = SERVICE) -> int:
    check = health_pb2_grpc.HealthStub(channel).Check
    return (await check(health_pb2.HealthCheckRequest(service=service), timeout=2)).status


@asynccontextmanager
async def loading(
    artefacts: Artefacts, **settings: str
) -> AsyncIterator[tuple[Worker, grpc.aio.Channel, threading.Event]]:
    """A worker whose engine takes as long to load as the test wants."""
    gate = threading.Event()
    worker = Worker(artefacts.settings(**settings), engine_factory=lambda _: (gate.wait(5), make_engine(artefacts))[1])
    async with grpc.aio.insecure_channel(await worker.start()) as channel:
        yield worker, channel, gate
        gate.set()
        await worker.close()


async def test_while_it_loads_it_is_alive_but_not_serving(artefacts: Artefacts):
    async with loading(artefacts) as (worker, channel, gate):
        assert [await health(channel, name) for name in ("liveness", SERVICE)] == [SERVING, NOT_SERVING]
        error = await failure(stubs.WorkerServiceStub(channel).GetInfo(pb.GetInfoRequest()))
        assert isinstance(error, UnavailableError)
        assert error.reason == "MODEL_UNAVAILABLE"
        gate.set()
        await worker.wait_ready()
        assert await health(channel) == SERVING


async def test_it_tells_over_http_when_it_is_ready(artefacts: Artefacts):
    def healthz(worker: Worker, path: str = "/healthz") -> tuple[int, str]:
        host, _, port = worker._metrics_server.address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())["status"]

    async with loading(artefacts, metrics_address="127.0.0.1:0") as (worker, _, gate):
        assert await asyncio.to_thread(healthz, worker) == (503, "starting")
        assert await asyncio.to_thread(healthz, worker, "/livez") == (200, "alive")
        gate.set()
        await worker.wait_ready()
        assert await asyncio.to_thread(healthz, worker) == (200, "serving")
        worker._host.health.drain()
        assert await asyncio.to_thread(healthz, worker) == (503, "draining")


async def test_health_and_info_are_prompt_while_a_batch_sleeps_in_the_engine(tiny: Running):
    gate = threading.Event()
    tiny.engine.before = lambda _: gate.wait(5)
    scan = asyncio.create_task(tiny.scan(ask()))
    await until(lambda: bool(tiny.engine.calls))
    assert await health(tiny.channel) == SERVING
    assert (await tiny.info()).model.name == "tiny"
    assert not scan.done()
    gate.set()
    await scan


async def test_more_calls_than_may_wait_are_refused_at_once(serve: Serve):
    async with serve(max_running=1, max_waiting=1) as worker:
        gate = threading.Event()
        worker.engine.before = lambda _: gate.wait(5)
        taken = [asyncio.create_task(worker.prepare(ask("one ", "two"))) for _ in range(2)]
        await until(lambda: "waiting=1/1" in repr(worker.worker._admission))
        error = await failure(worker.prepare(ask()))
        assert isinstance(error, OverloadedError)
        assert error.retry_after_s > 0
        gate.set()
        await asyncio.gather(*taken)


async def test_stopping_lets_a_scan_finish_and_leaves_no_thread(serve: Serve):
    async with serve() as worker:
        gate = threading.Event()
        worker.engine.before = lambda call: gate.wait(5) if call == "score" else None
        scan = asyncio.create_task(worker.scan(ask()))
        await until(lambda: worker.engine.count("score") == 1)
        stopping = asyncio.create_task(worker.worker.stop())
        await until(lambda: "draining=True" in repr(worker.worker))
        gate.set()
        assert (await scan).sequences_scored == 69
        await stopping
    assert worker.engine.calls[-1] == "close"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("engine")]


async def test_the_model_says_what_it_is_and_what_it_leaves_out(tiny: Running):
    info = await tiny.info()
    model = info.model
    assert [(layer.name, layer.d_in, layer.d_out) for layer in model.layers] == [("up", 3, 4), ("down", 4, 2)]
    assert (model.training_set_size, model.corpus_sequences) == (1000, 69)
    assert (model.engine, model.default_damping_factor) == ("stub/float64", 0.1)
    [warning] = model.warnings
    assert warning.code == "UNATTRIBUTED_PARAMETERS"
    assert "50.0%" in warning.message
    assert list(info.corpus_shards) == ["shard-00000", "shard-00001", "shard-00002"]


async def test_a_corpus_larger_than_the_training_set_is_warned_of(artefacts: Artefacts, tmp_path: Path):
    factors = write_factors(tmp_path / "factors", artefacts.model, training_set_size=68)
    small = replace(artefacts, factors=factors)
    worker = Worker(small.settings(), engine_factory=lambda _: make_engine(small))
    async with grpc.aio.insecure_channel(await worker.start()) as channel:
        await worker.wait_ready()
        info = await stubs.WorkerServiceStub(channel).GetInfo(pb.GetInfoRequest())
        await worker.stop()
    assert "CORPUS_LARGER_THAN_TRAINING_SET" in [warning.code for warning in info.model.warnings]


async def test_metrics_count_what_was_done(serve: Serve):
    async with serve(metrics_address="127.0.0.1:0") as worker:
        await worker.scan(ask())
        value = worker.worker.registry.get_sample_value
        assert value("whence_sequences_scored_total") == 69
        assert value("whence_cache_operations_total", {"layer": "memory", "operation": "get", "outcome": "miss"}) == 1
        assert value("whence_stage_duration_seconds_count", {"stage": "score"}) == 1
        assert value("whence_engine_job_duration_seconds_count", {"stage": "score"}) == worker.engine.count("score")
        assert value("whence_engine_info", {"engine": "stub", "precision": "float64", "device": "cpu"}) == 1
        assert value("whence_sequences_held") == 69
        assert value("whence_engine_queue_depth") == 0


def test_a_worker_starts_without_torch():
    code = "import sys, whence_backends.worker.serving.server as s; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def process(artefacts: Artefacts, tmp_path) -> subprocess.Popen[str]:
    """A worker process, by way of the command line's function, whose factors are not there."""
    code = (
        "import sys, pathlib; from whence.cli.commands.worker import worker;"
        "worker(model=sys.argv[1], factors=pathlib.Path(sys.argv[2]), corpus=pathlib.Path(sys.argv[3]),"
        " address='127.0.0.1:0', log_format='json')"
    )
    arguments = [str(artefacts.model), str(tmp_path / "nothing"), str(artefacts.corpus)]
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def test_a_process_that_cannot_load_ends_and_says_why(process: subprocess.Popen[str]):
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "nothing does not exist; expected a whence.factors/1 artefact" in errors
