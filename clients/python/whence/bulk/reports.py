"""What a run is given and what it tells: the source of its queries, its progress, its report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whence.bulk.rows import QueryRow


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the queries of a run come from.

    ``rows`` are in an order that stays, so that an interrupted run goes on; ``total`` is their number, None where it is
    not known. ``name`` is for messages. A run with other ``settings`` is another run.
    """

    name: str
    rows: Iterable[QueryRow]
    total: int | None
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A row that was refused."""

    row: int
    query_id: str
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class BulkProgress:
    """The progress of a run: rows ``done`` of ``total`` (None: unknown), those ``resumed`` among them."""

    done: int
    total: int | None
    resumed: int
    refused: int


@dataclass(frozen=True, kw_only=True)
class BulkReport:
    """What a run did. ``refusals`` are the first twenty of ``refused``."""

    table: Path
    queries: int
    hits: int
    refused: int
    resumed: int
    seconds: float
    provenances: int
    refusals: tuple[Refusal, ...] = field(default=())
