"""Preconditioned queries, whatever an engine's arrays are. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Array = TypeVar("Array")


@dataclass(frozen=True, kw_only=True, eq=False)
class LowRankQueries(Generic[Array]):
    """V of one layer in a bounded rank: V_q = left_qᵀ right_q, with left [Q, r, D_out] and right [Q, r, D_in]."""

    left: Array
    right: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Preconditioned(Generic[Array]):
    """The number of queries, and V of each layer: an array [Q, D_out, D_in], or factors of a bounded rank."""

    queries: int
    layers: list[Array | LowRankQueries[Array]]
