"""A front end and stub workers over real sockets, each stopped at the end of its test."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from frontend.stub_worker import StubWorker, host_stub
from whence import status
from whence.errors import WhenceError
from whence.v1 import attribution_service_pb2_grpc, query_pb2
from whence_service.frontend.config import FrontEndSettings
from whence_service.frontend.server import FrontEnd, build_front_end
from whence_service.rpc.certificates import TlsFiles
from whence_service.rpc.hosting import RpcHost

SERVICE = "whence.v1.AttributionService"


@dataclass(frozen=True, kw_only=True)
class RunningWorker:
    stub: StubWorker
    host: RpcHost
    address: str

    async def stop(self) -> None:
        await self.host.close()


@dataclass(frozen=True, kw_only=True)
class RunningFrontEnd:
    front: FrontEnd
    address: str
    channel: grpc.aio.Channel
    stub: attribution_service_pb2_grpc.AttributionServiceStub

    async def is_serving(self) -> bool:
        return await self.health() == "SERVING"

    async def health(self, service: str = SERVICE) -> str:
        stub = health_pb2_grpc.HealthStub(self.channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


StartWorker = Callable[..., Awaitable[RunningWorker]]
StartFrontEnd = Callable[..., Awaitable[RunningFrontEnd]]


@pytest.fixture(autouse=True)
def logs() -> list[structlog.typing.EventDict]:
    """What was logged, instead of printing it."""
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
async def start_worker() -> AsyncIterator[StartWorker]:
    """Start a stub worker of a ``kind``; takes that kind's arguments, ``address`` and ``tls``."""
    running: list[RunningWorker] = []

    async def start(
        *args: object,
        address: str = "127.0.0.1:0",
        kind: type[StubWorker] = StubWorker,
        tls: TlsFiles | None = None,
        **kwargs: object,
    ) -> RunningWorker:
        stub = kind(*args, **kwargs)
        host, bound = await host_stub(stub, address, tls)
        running.append(RunningWorker(stub=stub, host=host, address=bound))
        return running[-1]

    yield start
    for worker in running:
        await worker.stop()


@pytest.fixture
async def start_front() -> AsyncIterator[StartFrontEnd]:
    """Start a front end for workers' addresses; takes settings too."""
    running: list[RunningFrontEnd] = []

    async def start(*workers: RunningWorker | str, **settings: object) -> RunningFrontEnd:
        addresses = tuple(worker if isinstance(worker, str) else worker.address for worker in workers)
        quick = {
            "address": "127.0.0.1:0",
            "refresh_s": 0.1,
            "drain_s": 0.0,
            "grace_s": 1.0,
            "reflection": False,
        }
        front = await build_front_end(
            FrontEndSettings(**{**quick, **settings, "workers": addresses}), CollectorRegistry()
        )
        address = await front.start()
        channel = grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        stub = attribution_service_pb2_grpc.AttributionServiceStub(channel)
        running.append(RunningFrontEnd(front=front, address=address, channel=channel, stub=stub))
        return running[-1]

    yield start
    for one in running:
        await one.channel.close()
        await one.front.stop()


@pytest.fixture
async def worker(start_worker: StartWorker) -> RunningWorker:
    """One worker with the whole corpus."""
    return await start_worker()


@pytest.fixture
async def front(start_front: StartFrontEnd, worker: RunningWorker) -> RunningFrontEnd:
    """A front end for ``worker``."""
    return await start_front(worker)


@pytest.fixture
def ask() -> Callable[[str], query_pb2.Query]:
    """Make a query of a completion."""
    return lambda completion="abc", **more: query_pb2.Query(
        text=query_pb2.PromptCompletion(prompt="p", completion=completion), **more
    )


@pytest.fixture
def failure_of() -> Callable[[Awaitable[object]], Awaitable[WhenceError]]:
    """Await a call that must fail, and return its typed error."""

    async def fail(call: Awaitable[object]) -> WhenceError:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        return status.from_call(caught.value)

    return fail


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Wait until a condition, or what it awaits, is true."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            # Not an event: what is waited for happens in another process or in gRPC.
            while not (await met if inspect.isawaitable(met := condition()) else met):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    return wait
