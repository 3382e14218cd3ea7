"""The configuration of an ingest run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.corpus.chats import ChatPolicy
from whence_backends.corpus.chunking import ChunkPolicy
from whence_backends.corpus.ingestion.bad_rows import BadRowLimit
from whence_backends.corpus.ingestion.documents import Columns
from whence_backends.models.text.tokenizer import Tokenizer

DEFAULT_SHARD_TOKENS: Final = 50_000_000
DEFAULT_MAX_ROW_BYTES: Final = 64 << 20
LARGEST_ROW_BYTES: Final = 1 << 30  # the offsets of Arrow's strings have 31 bits


@dataclass(frozen=True, kw_only=True)
class IngestConfig:
    """The inputs of a corpus and the options for making it.

    ``inputs`` are files and folders: see :func:`~whence_backends.corpus.ingestion.sources.find_files`. A shard holds at
    most ``shard_tokens`` tokens. A row of more than ``max_row_bytes`` is bad (a plain text file may have any size). If
    more rows are bad than ``max_bad_rows`` allows, no corpus is made. ``strict`` ends the run at the first bad row.
    ``overwrite`` replaces an existing corpus at ``out``.
    """

    inputs: Sequence[Path]
    out: Path
    tokenizer: Tokenizer
    policy: ChunkPolicy = field(default_factory=ChunkPolicy)
    columns: Columns = field(default_factory=Columns)
    chat: ChatPolicy = field(default_factory=ChatPolicy)
    shard_tokens: int = DEFAULT_SHARD_TOKENS
    max_row_bytes: int = DEFAULT_MAX_ROW_BYTES
    max_bad_rows: BadRowLimit = field(default_factory=BadRowLimit)
    strict: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.shard_tokens < 1:
            raise InvalidRequestError(
                f"shard_tokens is {self.shard_tokens}; expected at least 1",
                reason=Reason.INVALID_SHARD_SIZE,
                field="shard_tokens",
            )
        if not 1 <= self.max_row_bytes <= LARGEST_ROW_BYTES:
            raise InvalidRequestError(
                f"max_row_bytes is {self.max_row_bytes:,}; expected 1 to {LARGEST_ROW_BYTES:,}",
                reason=Reason.INVALID_ROW_SIZE,
                field="max_row_bytes",
            )
