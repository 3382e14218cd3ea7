"""A real redis-server for quotas."""

from __future__ import annotations

from e2e.conftest import redis_url

__all__ = ["redis_url"]
