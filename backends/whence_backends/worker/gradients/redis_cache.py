"""The cache of encoded gradients in Redis, which workers share. It may fail: gradients are then computed again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from whence_backends.worker.runtime.records import CacheOutcome, CacheRecord, WorkerObserver, ignore
from whence_service.rpc.circuit_breaker import CircuitBreaker
from whence_service.rpc.redis_connection import RedisAccess, connect

_PREFIX: Final = "whence:gradient:"
# The slowest network that is still faster than computing a gradient again: 125 MB/s, a 1 Gbit/s link.
_SLOWEST_BYTES_PER_S: Final = 125_000_000


class RedisCache:
    """Keeps values of at most ``max_value_bytes`` for ``ttl_s``.

    An operation may take ``timeout_s`` and the time that its bytes take on a slow network. It is not retried, and is
    skipped while the circuit breaker is open. A value is read after its size, so that a silent server is noticed within
    ``timeout_s``, however large values may be.
    """

    def __init__(
        self,
        url: str,
        access: RedisAccess = RedisAccess(),  # noqa: B008 - frozen
        *,
        timeout_s: float,
        ttl_s: int,
        max_value_bytes: int,
        breaker: CircuitBreaker | None = None,
        observe: WorkerObserver = ignore,
    ) -> None:
        self._timeout_s = timeout_s
        self._ttl_s = ttl_s
        self._max_value_bytes = max_value_bytes
        self._breaker = breaker or CircuitBreaker()
        self._observe = observe
        self._redis = connect(
            url,
            access,
            connect_timeout_s=timeout_s,
            read_timeout_s=timeout_s + max_value_bytes / _SLOWEST_BYTES_PER_S,
        )

    def __repr__(self) -> str:
        return f"RedisCache({self._breaker!r})"

    async def get(self, key: str) -> bytes | None:
        """Return the value; ``None`` if there is none, it is too large, or Redis fails or is late."""
        return await self._ask("get", key, lambda: self._get(key))

    async def put(self, key: str, value: bytes) -> None:
        """Keep the value for its time to live, if Redis accepts it in time."""
        if len(value) > self._max_value_bytes:
            self._record("put", CacheOutcome.TOO_LARGE, key, time.perf_counter(), size_bytes=len(value))
            return
        await self._ask("put", key, lambda: self._put(key, value))

    async def close(self) -> None:
        """Close every connection."""
        await self._redis.aclose()

    async def _get(self, key: str) -> tuple[CacheOutcome, bytes | None]:
        async with asyncio.timeout(self._timeout_s):
            size_bytes = await self._command("STRLEN", _PREFIX + key)
        if size_bytes == 0:
            return CacheOutcome.MISS, None
        if size_bytes > self._max_value_bytes:
            return CacheOutcome.TOO_LARGE, None
        async with asyncio.timeout(self._allowed_s(size_bytes)):
            value = await self._command("GET", _PREFIX + key)
        return (CacheOutcome.MISS, None) if value is None else (CacheOutcome.HIT, bytes(value))

    async def _put(self, key: str, value: bytes) -> tuple[CacheOutcome, bytes | None]:
        async with asyncio.timeout(self._allowed_s(len(value))):
            await self._command("SET", _PREFIX + key, value, "EX", self._ttl_s)
        return CacheOutcome.STORED, value

    async def _ask(
        self, operation: str, key: str, act: Callable[[], Awaitable[tuple[CacheOutcome, bytes | None]]]
    ) -> bytes | None:
        started = time.perf_counter()
        if not self._breaker.allow():
            self._record(operation, CacheOutcome.SKIPPED, key, started)
            return None
        try:
            outcome, value = await act()
        except ResponseError as error:  # the server is up and refuses: out of memory, read-only, a key of another type
            self._breaker.succeeded()
            self._record(operation, CacheOutcome.ERROR, key, started, why=_named(error))
            return None
        except (TimeoutError, RedisError, OSError, ValueError) as error:
            self._breaker.failed()
            late = isinstance(error, (TimeoutError, RedisTimeoutError))
            outcome = CacheOutcome.TIMEOUT if late else CacheOutcome.ERROR
            self._record(operation, outcome, key, started, why=_named(error))
            return None
        except BaseException:  # cancelled: the state of the server is unknown
            self._breaker.abandoned()
            raise
        self._breaker.succeeded()
        self._record(operation, outcome, key, started, size_bytes=len(value or b""))
        return value

    async def _command(self, *words: object) -> Any:  # noqa: ANN401 - an answer's type depends on the command
        return await self._redis.execute_command(*words)  # type: ignore[no-untyped-call]

    def _allowed_s(self, size_bytes: int) -> float:
        return self._timeout_s + size_bytes / _SLOWEST_BYTES_PER_S

    def _record(
        self,
        operation: str,
        outcome: CacheOutcome,
        key: str,
        started: float,
        *,
        size_bytes: int = 0,
        why: str = "",
    ) -> None:
        self._observe(
            CacheRecord(
                layer="redis",
                operation=operation,
                outcome=outcome,
                key=key,
                duration_s=time.perf_counter() - started,
                size_bytes=size_bytes,
                why=why,
            )
        )


def _named(error: Exception) -> str:
    # The library's own repr leaves the message out.
    return f"{type(error).__name__}: {error}"
