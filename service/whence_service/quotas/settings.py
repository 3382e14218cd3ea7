"""The settings of quotas."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from whence_service.rpc.redis_connection import RedisAccess


@dataclass(frozen=True, kw_only=True)
class QuotaSettings:
    """Where quotas are written, where they are counted, and how long that may take."""

    file: Path
    redis_url: str = ""
    redis_access: RedisAccess = field(default_factory=RedisAccess)
    timeout_s: float = 0.1
    local_share: float = 1.0
