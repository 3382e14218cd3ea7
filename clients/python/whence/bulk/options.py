"""The options of a run over many rows, given once and passed down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from whence.bulk.reports import BulkProgress


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of a run: how it is asked, and what ends it.

    ``strict`` raises the first refusal, which is otherwise in the table. ``overwrite`` replaces a table that is there.
    ``concurrency`` requests are under way at a time, each with ``batch_size`` queries (None: as many as the model
    takes). ``model`` is the served model's name, which may be empty where only one is served. ``progress`` is called
    after each answer.
    """

    strict: bool = False
    overwrite: bool = False
    batch_size: int | None = None
    concurrency: int = 2
    model: str = ""
    progress: Callable[[BulkProgress], None] = lambda _: None


DEFAULTS: Final = RunOptions()
