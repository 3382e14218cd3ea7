"""The settings of quotas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class QuotaSettings:
    """Where quotas are written, where they are counted, and how long that may take."""

    file: Path
    redis_url: str = ""
    timeout_s: float = 0.1
    local_share: float = 1.0
