"""A connection that sends bytes as they are, which a client of HTTP would not."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

HEAD = "POST /v1/list-models HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back until the connection was closed."""

    raw: bytes

    @property
    def statuses(self) -> list[int]:
        """The status of each response."""
        return [int(line.split()[1]) for line in self.raw.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]

    @property
    def body(self) -> Any:
        """The last response's body."""
        return json.loads(self.raw.rpartition(b"\r\n\r\n")[2])


async def send(port: int, *pieces: str | bytes, wait_s: float = 10.0) -> Reply:
    """Send pieces, and read until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece if isinstance(piece, bytes) else piece.encode())
            await writer.drain()
        async with asyncio.timeout(wait_s):
            return Reply(raw=await reader.read())
    except ConnectionResetError:
        return Reply(raw=b"")
    finally:
        writer.close()
