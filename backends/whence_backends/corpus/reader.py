"""Reading a corpus: a folder of memory-mapped shards, of which a worker opens those that it serves."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from whence.errors import CorruptArtefactError, InvalidRequestError, NotFoundError
from whence.reasons import Reason
from whence_backends.contract import Int32Array, TokenSequence
from whence_backends.corpus.chats import ChatPolicy
from whence_backends.corpus.chunking import ChunkPolicy
from whence_backends.corpus.filters import SequenceFilter
from whence_backends.corpus.groups import GroupedRows, group_rows
from whence_backends.corpus.shard import SequenceOrigin, SequenceRecord, Shard, ShardInfo, shard_file
from whence_backends.preflight import CorpusFacts
from whence_backends.store.artefact import FileRecord, Manifest, read_manifest, verify_files

CORPUS_FORMAT: Final = "whence.corpus/2"
EARLIER_FORMATS: Final = ("whence.corpus/1",)  # in which each sequence repeats its document's metadata


@final
class Corpus:
    """An open corpus, or some shards of one. Immutable; threads may share it.

    A sequence's position is its index in the whole corpus, whichever shards are open.
    """

    def __init__(self, path: Path, manifest: Manifest, shards: Sequence[Shard]) -> None:
        self.path = path
        self.digest = manifest.digest
        self.properties: Mapping[str, Any] = manifest.properties
        self.all_shards = _shard_table(manifest)
        self._shards = tuple(sorted(shards, key=lambda shard: shard.info.first_position))
        self._by_name = {shard.info.name: shard for shard in self._shards}
        self._firsts = [shard.info.first_position for shard in self._shards]

    @classmethod
    def open(cls, path: Path | str, *, verify: bool = True, shards: Sequence[str] | None = None) -> Corpus:
        """Open a corpus, or only the named shards of it.

        ``verify`` reads the opened shards once to check their digests; their sizes are always checked. Raises
        :class:`~whence.errors.NotFoundError` for a folder without a finished corpus and for an unknown shard, and
        :class:`~whence.errors.CorruptArtefactError` for a file that is missing or altered.
        """
        folder = Path(path)
        manifest = read_manifest(folder, CORPUS_FORMAT, *EARLIER_FORMATS)
        chosen = _choose(_shard_table(manifest), shards, folder)
        files = [_file_of(manifest, info, folder) for info in chosen]
        if verify:
            verify_files(folder, files)
        else:
            _check_sizes(folder, files)
        opened = [Shard(folder / file.name, info) for file, info in zip(files, chosen, strict=True)]
        return cls(folder, manifest, opened)

    @property
    def tokenizer_digest(self) -> str:
        """The digest of the tokenizer that the corpus was made with."""
        return str(self.properties["tokenizer_digest"])

    @property
    def policy(self) -> ChunkPolicy:
        """The policy by which its documents were cut into sequences."""
        return ChunkPolicy(**self.properties["policy"])

    @property
    def chat(self) -> ChatPolicy:
        """The policy by which its conversations were rendered and their turns counted."""
        return ChatPolicy(**self.properties.get("chat", {}))

    @property
    def shards(self) -> tuple[ShardInfo, ...]:
        """The shards that are open, in order."""
        return tuple(shard.info for shard in self._shards)

    @property
    def sequences(self) -> int:
        """The number of sequences of the whole corpus."""
        return int(self.properties["counts"]["sequences"])

    @property
    def tokens(self) -> int:
        """The number of tokens of the whole corpus."""
        return int(self.properties["counts"]["tokens"])

    def positions(self, shard: str) -> range:
        """Return the positions that an open shard holds."""
        return self._shard(shard).info.positions

    def lengths(self, shard: str) -> Int32Array:
        """Return the length in tokens of each sequence of an open shard, int32 [sequences]."""
        return self._shard(shard).lengths()

    def matching(self, shard: str, wanted: SequenceFilter) -> NDArray[np.bool_]:
        """Return the mask of the sequences of an open shard that pass a filter, bool [sequences]."""
        return wanted.rows(self._shard(shard))

    def grouped(self, shard: str, group_by: str) -> GroupedRows:
        """Return the groups of the sequences of an open shard: see :func:`.groups.group_rows`."""
        return group_rows(self._shard(shard), group_by)

    def token_batches(self, shard: str) -> Iterator[tuple[Int32Array, Int32Array]]:
        """Yield the memory-mapped tokens of an open shard in batches, each with the starts of its sequences."""
        return self._shard(shard).token_batches()

    def all_lengths(self) -> Int32Array:
        """Return the length in tokens of each sequence of the open shards, in corpus order, int32 [sequences]."""
        return np.concatenate([shard.lengths() for shard in self._shards])

    def trained_tokens(self) -> Int32Array:
        """Return the number of trained tokens of each sequence of the open shards, in corpus order, int32."""
        return np.concatenate([shard.trained_tokens() for shard in self._shards])

    @cached_property
    def facts(self) -> CorpusFacts:
        """The facts about the whole corpus. For a corpus of an earlier format the open shards are read once."""
        counts = self.properties["counts"]
        largest, trained = counts.get("largest_token_id"), counts.get("trained_tokens")
        if largest is None:
            largest = max((shard.largest_token_id() for shard in self._shards), default=-1)
        return CorpusFacts(
            name=str(self.path),
            digest=self.digest,
            tokenizer_digest=self.tokenizer_digest,
            sequences=self.sequences,
            longest_sequence=int(counts["longest_sequence"]),
            largest_token_id=int(largest),
            trained_tokens=int(self.trained_tokens().sum()) if trained is None else int(trained),
        )

    def tokens_at(self, positions: Sequence[int]) -> list[TokenSequence]:
        """Return the sequences at these positions, in the given order, as an engine's input.

        Raises :class:`~whence.errors.NotFoundError` for a position that no open shard holds.
        """
        return [shard.tokens(row) for shard, row in map(self._locate, positions)]

    def record(self, position: int) -> SequenceRecord:
        """Return the record of the sequence at a position. Raises the errors of :meth:`tokens_at`."""
        shard, row = self._locate(position)
        return shard.record(row)

    def origin(self, position: int) -> SequenceOrigin:
        """Return the origin of the sequence at a position. Raises the errors of :meth:`tokens_at`."""
        shard, row = self._locate(position)
        return shard.origin(row)

    def position_of(self, sequence_id: str) -> int | None:
        """Return a sequence's position, or ``None`` if no open shard has it. The first call builds an index."""
        hashes, order = self._id_index
        wanted = hash(sequence_id)
        low, high = np.searchsorted(hashes, wanted, "left"), np.searchsorted(hashes, wanted, "right")
        for position in order[low:high].tolist():  # several only if hashes collide
            shard, row = self._locate(position)
            if shard.sequence_id(row) == sequence_id:
                return int(position)
        return None

    @cached_property
    def _id_index(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The sorted hashes of the ids, and their positions: 16 bytes per sequence, against about 150 in a dict."""
        ids = (hash(name) for shard in self._shards for name in shard.sequence_ids())
        hashes = np.fromiter(ids, np.int64)
        positions = np.array([position for info in self.shards for position in info.positions], np.int64)
        order = np.argsort(hashes, kind="stable")
        return hashes[order], positions[order]

    def _shard(self, name: str) -> Shard:
        if name not in self._by_name:
            raise _unknown_shard(name, list(self._by_name), "open shards", self.path)
        return self._by_name[name]

    def _locate(self, position: int) -> tuple[Shard, int]:
        number = bisect.bisect_right(self._firsts, position) - 1
        if number < 0 or position not in self._shards[number].info.positions:
            raise NotFoundError(
                f"no open shard of the corpus holds position {position}; open are "
                f"{', '.join(self._by_name) or 'none'} of {self.sequences} sequences in all",
                reason=Reason.SEQUENCE_NOT_FOUND,
                position=position,
            )
        shard = self._shards[number]
        return shard, int(position) - shard.info.first_position


def _shard_table(manifest: Manifest) -> tuple[ShardInfo, ...]:
    return tuple(ShardInfo(**entry) for entry in manifest.properties["shards"])


def _choose(table: Sequence[ShardInfo], names: Sequence[str] | None, folder: Path) -> list[ShardInfo]:
    if names is None:
        return list(table)
    known = {info.name: info for info in table}
    for name in names:
        if name not in known:
            raise _unknown_shard(name, list(known), "shards", folder)
    if not names:
        raise InvalidRequestError(
            "no shard was named; name at least one, or open all", reason=Reason.MISSING_SHARDS, field="shards"
        )
    return [known[name] for name in dict.fromkeys(names)]


def _file_of(manifest: Manifest, info: ShardInfo, folder: Path) -> FileRecord:
    name = shard_file(info.name)
    for file in manifest.files:
        if file.name == name:
            return file
    raise CorruptArtefactError(
        f"{folder} has a shard {info.name} but no file {name} in its manifest; make the corpus again",
        reason=Reason.CORRUPT_ARTEFACT,
        path=folder,
    )


def _check_sizes(folder: Path, files: Sequence[FileRecord]) -> None:
    for file in files:
        path = folder / file.name
        size_bytes = path.stat().st_size if path.is_file() else None
        if size_bytes != file.size_bytes:
            state = (
                "is missing" if size_bytes is None else f"has {size_bytes} bytes; its manifest says {file.size_bytes}"
            )
            raise CorruptArtefactError(
                f"{path} {state}; restore the artefact or make it again", reason=Reason.CORRUPT_ARTEFACT, path=path
            )


def _unknown_shard(name: str, known: Sequence[str], what: str, folder: Path) -> NotFoundError:
    return NotFoundError(
        f"{folder} has no shard {name!r}; its {what} are {', '.join(known) or 'none'}",
        reason=Reason.SHARD_NOT_FOUND,
        shard=name,
    )
