"""The pool of workers: their channels, and the placement that follows from their reports."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Final

import structlog

from whence.errors import UnavailableError, WhenceError
from whence.reasons import Reason
from whence_service.frontend.workers.channels import WorkerChannel, WorkerChannels
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
        channels: WorkerChannels,
        on_change: Callable[[Placement], None],
        observe: Observer = ignore,
    ) -> None:
        self._entries = tuple(entries)
        self._refresh_s = refresh_s
        self._probe_timeout_s = probe_timeout_s
        self._opener = channels
        self._on_change = on_change
        self._observe = observe
        # State: placement, _channels, _clients, _views and _refreshes (the number that began). Only refresh() changes
        # them, one at a time (_lock); everybody else reads `placement`, which is replaced as a whole, never altered.
        self.placement = Placement()
        self._lock = asyncio.Lock()
        self._refreshes = 0
        self._channels: dict[str, WorkerChannel] = {}
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
        for opened in self._channels.values():
            await opened.channel.close()

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
            await self._opener.look()
            names = await _resolve(self._entries)
            self._connect(names)
            await asyncio.gather(*(self._renew(address, name) for address, name in names.items()))
            await asyncio.gather(*(self._probe(address) for address in names))
            self._publish(names)

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

    def _connect(self, names: Mapping[str, str]) -> None:
        for address, name in names.items():
            if address not in self._channels:
                self._use(address, self._opener.open(address, name))
        for address in set(self._channels) - set(names):
            self._views.pop(address, None)
            self._clients.pop(address)
            self._keep(_retire(self._channels.pop(address)))

    async def _renew(self, address: str, name: str) -> None:
        """Replace a channel that has other certificates than a new one would.

        A worker that is reachable keeps its channel until the new one connects, so that the two ends need not take
        their new certificates at the same time.
        """
        before, view = self._channels[address], self._views.get(address)
        if self._opener.is_current(address, before):
            return
        latest = self._opener.open(address, name)
        if view is not None and view.reachable and not await _connects(latest, self._probe_timeout_s):
            _log.warning("worker refuses the new certificates; the connection with the old ones stays", worker=address)
            await latest.channel.close()
            return
        self._use(address, latest)
        self._keep(_retire(before))

    def _use(self, address: str, opened: WorkerChannel) -> None:
        self._channels[address] = opened
        self._clients[address] = WorkerClient(address, opened.channel, self.refresh_soon)

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

    def _publish(self, addresses: Iterable[str]) -> None:
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


async def _connects(opened: WorkerChannel, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await opened.channel.channel_ready()
    except TimeoutError:
        return False
    return True


async def _retire(opened: WorkerChannel) -> None:
    await opened.channel.close(grace=_RETIRE_S)


async def _resolve(entries: Sequence[str]) -> dict[str, str]:
    """Return the workers' addresses, each with the name and port that led to it."""
    names: dict[str, str] = {}
    for entry, addresses in zip(entries, await asyncio.gather(*map(_addresses, entries)), strict=True):
        for address in addresses:
            names.setdefault(address, entry.removeprefix(_DNS))
    return names


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
