"""What a corpus is made from, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from whence.errors import InvalidRequestError
from whence_backends.corpus.chats import ChatPolicy
from whence_backends.corpus.chunking import ChunkPolicy
from whence_backends.corpus.documents import Columns
from whence_backends.models.tokenizer import Tokenizer

DEFAULT_SHARD_TOKENS: Final = 50_000_000


@dataclass(frozen=True, kw_only=True)
class IngestConfig:
    """What to make a corpus from, and how.

    ``inputs`` are files and folders: see :func:`~whence_backends.corpus.sources.find_files`. A shard holds at
    most ``shard_tokens`` tokens. ``strict`` ends the run at the first bad row instead of counting it.
    ``overwrite`` replaces another corpus that is at ``out``.
    """

    inputs: Sequence[Path]
    out: Path
    tokenizer: Tokenizer
    policy: ChunkPolicy = field(default_factory=ChunkPolicy)
    columns: Columns = field(default_factory=Columns)
    chat: ChatPolicy = field(default_factory=ChatPolicy)
    shard_tokens: int = DEFAULT_SHARD_TOKENS
    strict: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.shard_tokens < 1:
            raise InvalidRequestError(
                f"shard_tokens is {self.shard_tokens}; expected at least 1",
                reason="BAD_SHARD_SIZE",
                field="shard_tokens",
            )
