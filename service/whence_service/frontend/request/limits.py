"""How much one request may ask for: the server's limits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RequestLimits:
    """The most that one request may ask."""

    max_top_k: int
    max_queries: int
    max_score_sequences: int
    max_candidates: int = 10_000
