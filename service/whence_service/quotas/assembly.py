"""The quotas that settings describe."""

from __future__ import annotations

from typing import Any

from limits.aio.storage import MemoryStorage, RedisStorage
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from whence_service.quotas.counters import Counts, SharedCounts
from whence_service.quotas.policy import read_policy
from whence_service.quotas.quotas import NoQuotas, Quotas, TenantQuotas
from whence_service.quotas.settings import QuotaSettings
from whence_service.rpc.circuit_breaker import CircuitBreaker
from whence_service.rpc.records import Observer, ignore
from whence_service.rpc.watched_file import WatchedFile


def build_quotas(settings: QuotaSettings | None, observe: Observer = ignore) -> Quotas:
    """Return the quotas of a front end. Raises :class:`~whence.errors.InvalidRequestError` (``INVALID_SETTINGS``)."""
    if settings is None:
        return NoQuotas()
    policy = WatchedFile(settings.file, read_policy)
    pool = _connections(settings.redis_url, settings.timeout_s) if settings.redis_url else None
    counts = SharedCounts(
        Counts(MemoryStorage()),
        None if pool is None else Counts(_storage(settings.redis_url, pool)),
        share=settings.local_share,
        timeout_s=settings.timeout_s,
        breaker=CircuitBreaker(),
    )

    async def release() -> None:
        if pool is not None:
            await pool.aclose()

    return TenantQuotas(policy, counts, release=release, observe=observe)


def _connections(url: str, timeout_s: float) -> ConnectionPool:
    # By default the library retries a silent server for about a minute. RESP2, because with RESP3 the library reuses a
    # pooled connection without checking it for the late reply to a cancelled command.
    return ConnectionPool.from_url(
        url,
        protocol=2,
        socket_connect_timeout=timeout_s,
        socket_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


def _storage(url: str, pool: ConnectionPool) -> RedisStorage:
    options: dict[str, Any] = {"implementation": "redispy", "key_prefix": "whence:quota", "connection_pool": pool}
    return RedisStorage(f"async+{url.replace('unix:', 'redis+unix:', 1)}", **options)
