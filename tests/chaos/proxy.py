"""A network that misbehaves on command: a TCP proxy in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

_SLOW_S: Final = 0.2
_PART_BYTES: Final = 1 << 16


class Weather(Enum):
    """What happens to bytes on their way, in either direction."""

    FAIR = auto()
    SLOW = auto()  # each part takes a fifth of a second more
    BLACK_HOLE = auto()  # connections stand and are accepted, and nothing arrives any more


class Proxy:
    """Passes connections on to ``target``, a host and port.

    State: the weather, and the connections. Owner: the loop of the proxy's thread.
    """

    def __init__(self, target: str) -> None:
        self.address = ""
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._weather = Weather.FAIR
        self._writers: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def change(self, weather: Weather) -> None:
        """Change the weather, for the bytes that are under way too."""
        self._loop.call_soon_threadsafe(self._change, weather)

    def _change(self, weather: Weather) -> None:
        self._weather = weather
        if weather is Weather.BLACK_HOLE:
            self._passable.clear()
        else:
            self._passable.set()

    async def _serve(self) -> None:
        self._loop, self._over, self._passable = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._passable.set()
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._over.wait()
        server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._passable.set()
        await asyncio.sleep(0.1)  # the connections notice, and their tasks end

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward_reader, onward = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, onward}
        await asyncio.gather(self._pass_on(reader, onward), self._pass_on(onward_reader, writer))
        self._writers -= {writer, onward}

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(_PART_BYTES):
                if self._weather is Weather.SLOW:
                    await asyncio.sleep(_SLOW_S)
                await self._passable.wait()
                writer.write(part)
                await writer.drain()
        writer.close()


@contextlib.contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    """Run a proxy for the length of the ``with``."""
    running = Proxy(target)
    running.start()
    try:
        yield running
    finally:
        running.stop()
