"""The pool of workers: their channels, and the placement that follows from their reports."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Final

import grpc
import structlog

from whence.errors import UnavailableError, WhenceError
from whence.reasons import Reason
from whence_service.frontend.workers.client import WorkerClient
from whence_service.frontend.workers.placement import Placement, WorkerView, build_placement
from whence_service.rpc.identity import current_identity
from whence_service.rpc.records import Observer, WorkersRecord, ignore

_DNS: Final = "dns:///"
# The time for calls in flight on the channel of a worker that was removed.
_RETIRE_S: Final = 600.0

_log: Final = structlog.get_logger(__name__)


class WorkerPool:
    """Owns the channels and keeps the placement fresh: :meth:`start`, read :attr:`placement`, :meth:`stop`.

    ``on_change`` is called with every new placement.
    """

    def __init__(
        self,
        entries: Sequence[str],
        *,
        refresh_s: float,
        probe_timeout_s: float,
        max_message_bytes: int,
        on_change: Callable[[Placement], None],
        observe: Observer = ignore,
    ) -> None:
        self._entries = tuple(entries)
        self._refresh_s = refresh_s
        self._probe_timeout_s = probe_timeout_s
        self._options = _channel_options(max_message_bytes, refresh_s)
        self._on_change = on_change
        self._observe = observe
        # State: placement, _channels, _clients, _views and _refreshes (the number that began). Only refresh() changes
        # them, one at a time (_lock); everybody else reads `placement`, which is replaced as a whole, never altered.
        self.placement = Placement()
        self._lock = asyncio.Lock()
        self._refreshes = 0
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._clients: dict[str, WorkerClient] = {}
        self._views: dict[str, WorkerView] = {}
        self._wanted = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        reachable = sorted(view.address for view in self._views.values() if view.reachable)
        return f"<WorkerPool reachable={reachable} silent={list(self.placement.silent)}>"

    @property
    def visible(self) -> Placement:
        """The placement as it is for the caller of the call being served."""
        return self.placement.visible(current_identity().sees)

    async def start(self) -> None:
        """Ask every worker once, then continue in the background. Unreachable workers are not an error."""
        await self.refresh()
        self._keep(self._refresh_forever())

    async def stop(self) -> None:
        """Stop refreshing and close every channel."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for channel in self._channels.values():
            await channel.close()

    def client(self, address: str) -> WorkerClient:
        """Return the client of a worker.

        Raises :class:`~whence.errors.UnavailableError` for a worker that was removed, for example during a call.
        """
        if address not in self._clients:
            raise UnavailableError(
                f"the worker {address} is no longer among those that this server was given; try again",
                reason=Reason.WORKER_UNAVAILABLE,
                worker=address,
            )
        return self._clients[address]

    def refresh_soon(self) -> None:
        """Request a refresh without waiting for it, if the placement may be out of date."""
        self._wanted.set()

    async def refresh(self) -> None:
        """Resolve names, query every worker, and replace the placement; one refresh for all who ask meanwhile."""
        wanted = self._refreshes + 1  # one that begins after now
        async with self._lock:
            if self._refreshes >= wanted:
                return
            self._refreshes += 1
            addresses = await _resolve(self._entries)
            self._connect(addresses)
            await asyncio.gather(*(self._probe(address) for address in addresses))
            self._publish(addresses)

    async def _refresh_forever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._refresh_s):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            self._wanted.clear()
            try:
                await self.refresh()
            except Exception:
                _log.exception("refreshing the placement failed; the next refresh may succeed")

    def _connect(self, addresses: Sequence[str]) -> None:
        for address in addresses:
            if address not in self._channels:
                channel = grpc.aio.insecure_channel(address, options=self._options)
                self._channels[address] = channel
                self._clients[address] = WorkerClient(address, channel, self.refresh_soon)
        for address in set(self._channels) - set(addresses):
            self._views.pop(address, None)
            self._clients.pop(address)
            self._keep(_retire(self._channels.pop(address)))

    async def _probe(self, address: str) -> None:
        before = self._views.get(address)
        try:
            info = await self._clients[address].info(self._probe_timeout_s)
        except WhenceError as error:
            if before is None or before.reachable:
                _log.warning("worker unreachable", worker=address, error=error.message)
            if before is not None:
                self._views[address] = WorkerView(address=address, info=before.info, reachable=False)
            return
        if before is None or not before.reachable:
            _log.info("worker reachable", worker=address, model=info.model.name)
        self._views[address] = WorkerView(address=address, info=info)

    def _publish(self, addresses: Sequence[str]) -> None:
        views = self._views.values()
        reachable = {view.address for view in views if view.reachable}
        self.placement = build_placement(views, silent=set(addresses) - reachable)
        self._on_change(self.placement)
        self._observe(
            WorkersRecord(
                reachable=len(reachable),
                unreachable=len(self.placement.silent),
                models=len(self.placement.served),
                incomplete=len(self.placement.models) - len(self.placement.served),
            )
        )

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _retire(channel: grpc.aio.Channel) -> None:
    await channel.close(grace=_RETIRE_S)


async def _resolve(entries: Iterable[str]) -> tuple[str, ...]:
    resolved = await asyncio.gather(*(_addresses(entry) for entry in entries))
    return tuple(dict.fromkeys(address for addresses in resolved for address in addresses))


async def _addresses(entry: str) -> list[str]:
    # gRPC itself would pick one of a name's addresses for a channel; each worker needs a channel of its own.
    if not entry.startswith(_DNS):
        return [entry]
    host, _, port = entry.removeprefix(_DNS).rpartition(":")
    loop = asyncio.get_running_loop()
    try:
        answers = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        _log.warning("worker name does not resolve", entry=entry, error=str(error))
        return []
    return sorted({_join(family, str(address[0]), address[1]) for family, *_, address in answers})


def _join(family: int, host: str, port: object) -> str:
    return f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"


def _channel_options(max_message_bytes: int, refresh_s: float) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        # gRPC's default backoff grows to two minutes, during which a restarted worker would seem unreachable.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", max(100, round(refresh_s * 500))),
        # Detects a peer that vanished silently (a lost node) in the middle of a long scan.
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # Workers are internal: an HTTP proxy of the environment is never used for them.
        ("grpc.enable_http_proxy", 0),
        # Channels of different pools in a process share nothing, not even failures.
        ("grpc.use_local_subchannel_pool", 1),
    ]
