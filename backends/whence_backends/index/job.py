"""The building of an index: folds, then shard after shard, block after block, then the manifest.

A shard is written in place in the folder ``.work`` and moved out once it is whole. After each block of rows the arrays
are synced and the number of finished rows is noted: a killed job goes on from there. Which sequences go through the
engine together depends on their block and their lengths alone, so the bytes are the same however often it was killed.

Several jobs may share a folder, each with its rank: they take whole shards, and whichever finds all of them finished
writes the manifest.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from whence.errors import InvalidRequestError, MismatchError, NotFoundError
from whence.options import DEFAULT_DAMPING_FACTOR
from whence.reasons import Reason
from whence_backends.batching import plan_batches
from whence_backends.contract import Engine, SketchPlan, TokenSequence
from whence_backends.ekfac.factors import Factors
from whence_backends.index.codes import encode, require_bits
from whence_backends.index.plan import default_keep, make_plan
from whence_backends.index.sketch import Sketcher, make_sketcher
from whence_backends.index.storage import (
    FORMAT,
    PARTS,
    Index,
    IndexCard,
    IndexedShard,
    fold_file,
    row_shapes,
    shard_file,
)
from whence_backends.preflight import CorpusFacts, ModelFacts, preflight, require
from whence_backends.store import (
    WORK_FOLDER,
    ArtefactWriter,
    claim_folder,
    holding,
    storage_error,
    sync,
    write_arrays,
    write_atomically,
)

_PACKAGES: Final = ("numpy", "whence")


class ShardedSource(Protocol):
    """The training sequences, shard by shard. :class:`whence_backends.corpus.Corpus` is one."""

    @property
    def digest(self) -> str:
        """The digest of the contents."""
        ...

    @property
    def facts(self) -> CorpusFacts:
        """The facts that the preflight decides on."""
        ...

    @property
    def shards(self) -> Sequence[Any]:
        """The shards in order: each has ``name``, ``first_position``, ``sequences`` and ``tokens``."""
        ...

    def lengths(self, shard: str) -> NDArray[np.int32]:
        """Return the length in tokens of each sequence of a shard."""
        ...

    def tokens_at(self, positions: Sequence[int]) -> list[TokenSequence]:
        """Return the sequences at these positions of the corpus."""
        ...


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """The configuration of an index.

    ``keep`` is the share of coordinates that is kept (``None``: by their number and that of the values,
    :func:`~whence_backends.index.plan.default_keep`), ``width`` how many values a sketch has, each stored in ``bits``
    bits; ``layer_groups`` how many segments there are at most. ``batch_tokens`` bounds a batch's padded tokens, and
    ``block_sequences`` what a kill loses. ``rank`` of ``world_size`` jobs takes its share of the shards.
    """

    model: str
    out: Path
    damping_factor: float = DEFAULT_DAMPING_FACTOR
    keep: float | None = None
    width: int = 15872
    bits: int = 1
    layer_groups: int = 4
    seed: int = 0
    batch_tokens: int = 4096
    block_sequences: int = 1024
    rank: int = 0
    world_size: int = 1

    @property
    def tag(self) -> str:
        """The suffix of this rank's temporary files: ranks write some of the same files."""
        return f".{self.rank}"


@dataclass(frozen=True, kw_only=True)
class IndexProgress:
    """The progress of this job, in the tokens of its own shards."""

    shard: str
    done: int
    total: int


Progress = Callable[[IndexProgress], None]


def build_index(
    config: IndexConfig, engine: Engine, factors: Factors, source: ShardedSource, progress: Progress = lambda _: None
) -> Index | None:
    """Build the index and open it; return ``None`` while other ranks have unfinished shards.

    If the job was killed, the same call resumes it and ends with the same bytes. An existing index of the same
    configuration is opened.

    Raises :class:`~whence.errors.InvalidRequestError` for an invalid configuration,
    :class:`~whence.errors.MismatchError` if factors and engine do not belong together or the folder holds another
    index, and :class:`~whence.errors.StorageError` if the disk is full or another job is building the same shards.
    """
    _check(config, engine, factors, source)
    coordinates = sum(layer.d_in * layer.d_out for layer in factors.card.layers)
    keep = default_keep(config.width, coordinates) if config.keep is None else config.keep
    plan, segments = make_plan(
        factors.card.layers,
        [factors.Lambda(index) for index in range(len(factors.card.layers))],
        damping_factor=config.damping_factor,
        keep=keep,
        width=config.width,
        groups=config.layer_groups,
        seed=config.seed,
    )
    shards = source.shards
    card = IndexCard(
        model=config.model,
        model_digest=engine.info.model_digest,
        factors_digest=factors.digest,
        corpus_digest=source.digest,
        engine=engine.info.engine,
        precision=engine.info.precision,
        damping_factor=config.damping_factor,
        keep=keep,
        width=config.width,
        bits=config.bits,
        seed=config.seed,
        batch_tokens=config.batch_tokens,
        layers=tuple(layer.name for layer in factors.card.layers),
        segments=segments,
        shards=tuple(
            IndexedShard(name=shard.name, first_position=shard.first_position, sequences=shard.sequences)
            for shard in shards
        ),
        versions={package: version(package) for package in _PACKAGES},
    )
    done = _finished(config.out, card)
    if done is not None:
        return done
    with holding(config.out / WORK_FOLDER / f"rank{config.tag}.lock"):
        return _build(config, card, plan, source, make_sketcher(engine, plan, factors.Lambda), progress)


def _build(
    config: IndexConfig,
    card: IndexCard,
    plan: SketchPlan,
    source: ShardedSource,
    sketcher: Sketcher,
    progress: Progress,
) -> Index | None:
    """Build this rank's shards, and complete the index if all others are finished."""
    shards = source.shards
    identity = {**card.as_properties(), "block_sequences": config.block_sequences}
    folder = claim_folder(config.out, identity, tag=config.tag)
    _write_folds(config, plan)
    assigned = assign_shards([shard.tokens for shard in shards], config.world_size)
    own = [shards[number] for number in assigned[config.rank]]
    work = _Work(
        config=config,
        folder=folder,
        card=card,
        source=source,
        sketcher=sketcher,
        progress=progress,
        total=sum(shard.tokens for shard in own),
    )
    done_tokens = 0
    for shard in own:
        with holding(folder / f"{shard.name}.lock"):  # a job with another world_size may build it too
            _build_shard(work, shard, done_tokens)
        done_tokens += shard.tokens
    progress(IndexProgress(shard="", done=work.total, total=work.total))
    return _finish(config, folder, card)


def assign_shards(tokens: Sequence[int], world_size: int) -> list[list[int]]:
    """Return the indices of the shards that each rank builds, such that the ranks' tokens are about equal.

    Shards are assigned in descending order of size, each to the rank with the fewest tokens; ties go to the lower rank.
    """
    assigned: list[list[int]] = [[] for _ in range(world_size)]
    load = [0] * world_size
    for number in sorted(range(len(tokens)), key=lambda number: (-tokens[number], number)):
        rank = min(range(world_size), key=lambda rank: (load[rank], rank))
        assigned[rank].append(number)
        load[rank] += tokens[number]
    return [sorted(numbers) for numbers in assigned]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Work:
    """The arguments of building a shard."""

    config: IndexConfig
    folder: Path
    card: IndexCard
    source: ShardedSource
    sketcher: Sketcher
    progress: Progress
    total: int


def _check(config: IndexConfig, engine: Engine, factors: Factors, source: ShardedSource) -> None:
    require_bits(config.bits)
    if not 0 <= config.rank < config.world_size:
        raise InvalidRequestError(
            f"rank {config.rank} of {config.world_size}; ranks count from 0", reason=Reason.INVALID_RANK, field="rank"
        )
    model = ModelFacts(name=config.model, digest=engine.info.model_digest)
    require(preflight(model=model, corpus=source.facts, factors=factors.facts, engine=engine.info))


def _finished(out: Path, card: IndexCard) -> Index | None:
    try:
        index = Index.open(out)
    except NotFoundError:
        return None
    # The digest identifies the model; its name in a command is no part of the index.
    ours, theirs = (replace(card, model="", versions={}) for card in (card, index.card))
    if ours != theirs:
        differing = [name for name, value in vars(ours).items() if value != getattr(theirs, name)]
        raise MismatchError(
            f"{out} already holds an index ({index.digest}) with another {', '.join(differing)}; choose another folder",
            reason=Reason.INDEX_EXISTS,
            path=out,
        )
    shutil.rmtree(out / WORK_FOLDER, ignore_errors=True)  # left by a job that was killed at its end
    return index


def _write_folds(config: IndexConfig, plan: SketchPlan) -> None:
    for index, fold in enumerate(plan.folds):
        path = config.out / fold_file(index)
        if not path.is_file():
            arrays = {"indices": fold.indices, "weights": fold.weights}
            write_atomically(path, partial(write_arrays, arrays=arrays), tag=config.tag)


def _build_shard(work: _Work, shard: Any, done_before: int) -> None:  # noqa: ANN401 - see ShardedSource.shards
    """Write a shard's three arrays, starting at the row where an earlier job stopped."""
    if all((work.config.out / shard_file(shard.name, part)).is_file() for part in PARTS):
        return
    note = work.folder / f"{shard.name}.rows"
    lengths = work.source.lengths(shard.name)
    start = int(note.read_text()) if note.is_file() else 0
    try:
        arrays = _open_rows(work, shard, fresh=start == 0)
        while start < shard.sequences:
            done = done_before + int(lengths[:start].sum())
            work.progress(IndexProgress(shard=shard.name, done=done, total=work.total))
            stop = min(start + work.config.block_sequences, shard.sequences)
            _fill(work, arrays, shard.first_position, start, lengths[start:stop])
            for part in PARTS:
                _sync(work.folder / shard_file(shard.name, part), arrays[part])
            write_atomically(note, lambda path, rows=stop: path.write_text(str(rows)))  # type: ignore[misc]
            start = stop
        del arrays
        for part in PARTS:
            finished = work.folder / shard_file(shard.name, part)
            if finished.is_file():  # otherwise an earlier job moved it before it was killed
                os.replace(finished, work.config.out / finished.name)
        sync(work.config.out)
        note.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(work.folder, error) from error


def _open_rows(work: _Work, shard: Any, *, fresh: bool) -> dict[str, NDArray[Any]]:  # noqa: ANN401
    """Map the arrays of an unfinished shard. Arrays that were moved out are complete."""
    arrays: dict[str, NDArray[Any]] = {}
    for part, (dtype, shape) in row_shapes(work.card, shard.sequences).items():
        path, moved = work.folder / shard_file(shard.name, part), work.config.out / shard_file(shard.name, part)
        if shard.sequences == 0:
            np.save(path, np.zeros(shape, dtype))
            arrays[part] = np.zeros(shape, dtype)
        elif moved.is_file():
            arrays[part] = np.load(moved, mmap_mode="r")
        elif fresh:
            arrays[part] = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
            _reserve(path)
        else:
            arrays[part] = np.lib.format.open_memmap(path, mode="r+")
    return arrays


def _fill(work: _Work, arrays: dict[str, NDArray[Any]], first_position: int, start: int, lengths: Any) -> None:  # noqa: ANN401
    """Sketch one block of rows, batch by batch, and write its codes."""
    for batch in plan_batches(lengths, work.config.batch_tokens):
        rows = start + batch
        sketches = work.sketcher(work.source.tokens_at((first_position + rows).tolist()))
        encoded = encode(sketches.values, work.card.segments, work.card.bits)
        arrays["codes"][rows], arrays["scales"][rows] = encoded
        arrays["self"][rows] = sketches.self_influence


def _finish(config: IndexConfig, folder: Path, card: IndexCard) -> Index | None:
    """Write the manifest if every shard is there, whichever rank built it."""
    out = config.out
    names = [fold_file(index) for index in range(len(card.layers))]
    names += [shard_file(shard.name, part) for shard in card.shards for part in PARTS]
    if not all((out / name).is_file() for name in names):
        return None
    writer = ArtefactWriter(out, FORMAT, tag=config.tag)
    writer.finish([writer.record(name) for name in names], card.as_properties())
    shutil.rmtree(folder, ignore_errors=True)
    return Index.open(out, verify=False)


def _reserve(path: Path) -> None:
    """Allocate the file's blocks: a full disk is then an error here, not a bus error while the map is written."""
    with path.open("rb+") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _sync(path: Path, array: NDArray[Any]) -> None:
    if isinstance(array, np.memmap) and array.flags.writeable:
        array.flush()
        sync(path)
