"""The quotas that settings describe."""

from __future__ import annotations

from typing import Any

from limits.aio.storage import MemoryStorage, RedisStorage
from redis.asyncio import Redis

from whence_service.quotas.counters import Counts, SharedCounts
from whence_service.quotas.policy import read_policy
from whence_service.quotas.quotas import NoQuotas, Quotas, TenantQuotas
from whence_service.quotas.settings import QuotaSettings
from whence_service.rpc.circuit_breaker import CircuitBreaker
from whence_service.rpc.records import Observer, ignore
from whence_service.rpc.redis_connection import connect
from whence_service.rpc.watched_file import WatchedFile


def build_quotas(settings: QuotaSettings | None, observe: Observer = ignore) -> Quotas:
    """Return the quotas of a front end. Raises :class:`~whence.errors.InvalidRequestError` (``INVALID_SETTINGS``)."""
    if settings is None:
        return NoQuotas()
    policy = WatchedFile(settings.file, read_policy)
    redis = _connect(settings) if settings.redis_url else None
    counts = SharedCounts(
        Counts(MemoryStorage()),
        None if redis is None else Counts(_storage(settings.redis_url, redis)),
        share=settings.local_share,
        timeout_s=settings.timeout_s,
        breaker=CircuitBreaker(),
        observe=observe,
    )

    async def release() -> None:
        if redis is not None:
            await redis.aclose()

    return TenantQuotas(policy, counts, release=release, observe=observe)


def _connect(settings: QuotaSettings) -> Redis:
    settings.redis_access.check()
    return connect(
        settings.redis_url,
        settings.redis_access,
        connect_timeout_s=settings.timeout_s,
        read_timeout_s=settings.timeout_s,
    )


def _storage(url: str, redis: Redis) -> RedisStorage:
    options: dict[str, Any] = {
        "implementation": "redispy",
        "key_prefix": "whence:quota",
        "connection_pool": redis.connection_pool,
    }
    return RedisStorage(f"async+{url.replace('unix:', 'redis+unix:', 1)}", **options)
