"""The server's limits of one request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RequestLimits:
    """The largest values that one request may have."""

    max_top_k: int
    max_queries: int
    max_score_sequences: int
    max_candidates: int = 10_000
