"""What Whence adds to a call: front end and worker with the fake engine, against a bare grpc.aio echo, in one run.

    python tests/benchmarks/overhead.py [--requests 300] [--concurrency 8]

Client, front end, worker and echo are processes of their own on the loopback interface. The echo answers requests of
the same bytes with the same bytes; the client does not parse either. Score asks for the shortest few sequences by id,
Attribute ranks a corpus of a few dozen sequences; the query's gradient is cached, as it is for all but a query's first
call, and the sequences are those of the call before, as where a hit is scored or explained. What remains of ours is
the service itself and the fake engine's own arithmetic, whose time is printed beside it.

The last line has ours / bare of Score: latencies one call at a time, throughput with the calls side by side.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from measure import print_figures, print_machine

from e2e.harness import QUERY, Launcher, Process, launcher, make_artefacts
from whence.v1 import attribution_pb2, attribution_service_pb2

SERVICE = "whence.v1.AttributionService"
SEQUENCES = 5


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One call as bytes."""

    method: str
    request: bytes
    response: bytes


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one load on one server gave."""

    p50_ms: float
    p99_ms: float
    requests_per_s: float
    engine_ms: float = 0.0  # what of a call the engine took

    @classmethod
    def of(cls, latencies_s: Sequence[float], wall_s: float) -> Figures:
        p50, p99 = np.percentile(latencies_s, [50, 99]) * 1000
        return cls(p50_ms=float(p50), p99_ms=float(p99), requests_per_s=len(latencies_s) / wall_s)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=300, help="calls of each kind, on each server, in each round")
    parser.add_argument("--rounds", type=int, default=3, help="ours and bare take turns; the best round counts")
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--documents", type=int, default=30)
    parser.add_argument("--echo", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def calls(ids: Sequence[str]) -> dict[str, bytes]:
    """The two requests, as the client sends them."""
    selectors = [attribution_service_pb2.SequenceSelector(sequence_id=name) for name in ids]
    query = QUERY.to_proto()
    score = attribution_service_pb2.ScoreRequest(queries=[query], sequences=selectors)
    options = attribution_pb2.AttributionOptions(top_k=10)
    attribute = attribution_service_pb2.AttributeRequest(query=query, options=options)
    return {"Score": score.SerializeToString(), "Attribute": attribute.SerializeToString()}


def call(channel: grpc.aio.Channel, method: str) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
    return channel.unary_unary(f"/{SERVICE}/{method}")


async def load(channel: grpc.aio.Channel, exchange: Exchange, *, requests: int, concurrency: int) -> Figures:
    """Make the calls, so many at a time, each of them as soon as one before it is answered."""
    method, left, latencies = call(channel, exchange.method), iter(range(requests)), []

    async def one_after_the_other() -> None:
        for _ in left:
            started = time.perf_counter()
            await method(exchange.request)
            latencies.append(time.perf_counter() - started)

    began = time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(concurrency)))
    return Figures.of(latencies, time.perf_counter() - began)


@contextlib.contextmanager
def echo(exchanges: Sequence[Exchange], folder: Path) -> Iterator[str]:
    """Run this file as the echo of those exchanges; give its address."""
    for exchange in exchanges:
        (folder / exchange.method).write_bytes(exchange.response)
    command = [sys.executable, __file__, "--echo", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


async def serve_echo(responses: Mapping[str, bytes]) -> None:
    """Answer every method with its bytes."""
    server = grpc.aio.server()

    def answering(response: bytes) -> grpc.RpcMethodHandler:
        async def answer(_: bytes, __: object) -> bytes:
            return response

        return grpc.unary_unary_rpc_method_handler(answer)

    handlers = {name: answering(response) for name, response in responses.items()}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


def start(launch: Launcher, documents: int) -> tuple[Process, Process, dict[str, bytes]]:
    """Start a worker and its front end, as they are by default; return them and the requests."""
    folder = launch.folder / "artefacts"
    folder.mkdir()
    artefacts = make_artefacts(folder, documents=documents)
    worker = launch.worker(artefacts)
    front = launch.front(worker, REFRESH_S="5")
    front.wait_for("serving")
    corpus = artefacts.open_corpus()
    print(f"# Score of {SEQUENCES} sequences, Attribute over {corpus.sequences}; fake engine")
    shortest = np.argsort(corpus.all_lengths())[:SEQUENCES].tolist()
    return worker, front, calls([corpus.record(position).sequence_id for position in shortest])


@contextlib.asynccontextmanager
async def channels(*addresses: str) -> AsyncIterator[list[grpc.aio.Channel]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(grpc.aio.insecure_channel(address)) for address in addresses]


async def compare(options: argparse.Namespace, launch: Launcher) -> None:
    worker, front, requests = start(launch, options.documents)
    async with channels(front.address) as (ours,):
        answers = {method: await call(ours, method)(request) for method, request in requests.items()}
    exchanges = [Exchange(method=m, request=requests[m], response=answers[m]) for m in requests]
    folder = launch.folder / "echo"
    folder.mkdir()
    found: dict[tuple[str, int], tuple[Figures, Figures]] = {}
    with echo(exchanges, folder) as address:
        async with channels(front.address, address) as pair:
            for exchange in exchanges:
                for concurrency in (1, options.concurrency):
                    figures = await measured(pair, exchange, concurrency, options, worker)
                    found[exchange.method, concurrency] = figures
                    print_pair(exchange, concurrency, *figures)
    alone, side_by_side = found["Score", 1], found["Score", options.concurrency]
    print_figures(
        p50_ratio=alone[0].p50_ms / alone[1].p50_ms,
        p99_ratio=alone[0].p99_ms / alone[1].p99_ms,
        throughput_ratio=side_by_side[0].requests_per_s / side_by_side[1].requests_per_s,
    )


async def measured(
    pair: Sequence[grpc.aio.Channel],
    exchange: Exchange,
    concurrency: int,
    options: argparse.Namespace,
    worker: Process,
) -> tuple[Figures, Figures]:
    """Return the best of the rounds of either server, ours first."""
    rounds: list[list[Figures]] = [[], []]
    for channel in pair:
        await load(channel, exchange, requests=options.requests // 10, concurrency=concurrency)
    before_s = engine_s(worker)
    for _ in range(options.rounds):
        for channel, figures in zip(pair, rounds, strict=True):
            figures.append(await load(channel, exchange, requests=options.requests, concurrency=concurrency))
    ours, bare = (min(figures, key=lambda one: one.p50_ms) for figures in rounds)
    engine_ms = 1000 * (engine_s(worker) - before_s) / (options.rounds * options.requests)
    return replace(ours, engine_ms=engine_ms), bare


def print_pair(exchange: Exchange, concurrency: int, ours: Figures, bare: Figures) -> None:
    sizes = f"{len(exchange.request)} B asked, {len(exchange.response)} B answered"
    print(f"{exchange.method}, {concurrency} at a time ({sizes})")
    for name, figures in (("ours", ours), ("bare", bare)):
        print(
            f"  {name}  p50 {figures.p50_ms:6.2f} ms  p99 {figures.p99_ms:6.2f} ms  "
            f"{figures.requests_per_s:7.1f} requests/s"
            + (f"  (the engine: {figures.engine_ms:.2f} ms a call)" if figures.engine_ms else "")
        )


def engine_s(worker: Process) -> float:
    """Return the time that the engine has worked so far, which is not overhead of the service."""
    page = worker.metrics()
    sums = (page.value("whence_engine_job_duration_seconds_sum", stage=stage) for stage in ("score", "precondition"))
    return sum(sums)


def main() -> None:
    options = arguments()
    if options.echo:
        asyncio.run(serve_echo({path.name: path.read_bytes() for path in options.echo.iterdir()}))
        return
    print_machine()
    with tempfile.TemporaryDirectory() as folder, launcher(Path(folder)) as launch:
        asyncio.run(compare(options, launch))


if __name__ == "__main__":
    main()
