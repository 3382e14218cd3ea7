"""Filling shards: sequences go, in order, to the current shard until the next one would not fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby
from operator import itemgetter

from whence_backends.corpus.chunking import ChunkedSequence
from whence_backends.corpus.shard import ShardInfo, shard_file, write_shard
from whence_backends.store.artefact import ArtefactWriter, FileRecord


def fill_shards(
    writer: ArtefactWriter, sequences: Iterable[ChunkedSequence], shard_tokens: int
) -> tuple[list[FileRecord], list[ShardInfo]]:
    """Write sequences to as many shards as needed. Return the shards' files and descriptions."""
    files: list[FileRecord] = []
    shards: list[ShardInfo] = []
    position = 0
    for number, members in groupby(_numbered(sequences, shard_tokens), key=itemgetter(0)):
        name, counts = f"shard-{number:05d}", _ShardCounts()
        counted = counts.over(sequence for _, sequence in members)
        files.append(writer.add(shard_file(name), partial(write_shard, sequences=counted)))
        shards.append(ShardInfo(name=name, first_position=position, sequences=counts.sequences, tokens=counts.tokens))
        position += counts.sequences
    return files, shards


def _numbered(sequences: Iterable[ChunkedSequence], shard_tokens: int) -> Iterator[tuple[int, ChunkedSequence]]:
    """Yield each sequence with the number of its shard: a shard is full when the next sequence would not fit."""
    number, held_tokens = 0, 0
    for sequence in sequences:
        tokens = len(sequence.token_ids)
        if held_tokens and held_tokens + tokens > shard_tokens:
            number, held_tokens = number + 1, 0
        held_tokens += tokens
        yield number, sequence


class _ShardCounts:
    """Counts the sequences and tokens of a stream."""

    def __init__(self) -> None:
        self.sequences = self.tokens = 0

    def over(self, sequences: Iterable[ChunkedSequence]) -> Iterator[ChunkedSequence]:
        for sequence in sequences:
            self.sequences += 1
            self.tokens += len(sequence.token_ids)
            yield sequence
