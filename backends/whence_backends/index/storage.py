"""The index artefact, ``whence.index/1``, which ``whence index`` writes and a worker maps into memory.

One ``fold-NNNNN.safetensors`` for each layer (``indices`` int32 and ``weights`` float32, [M, K]: which coordinates are
kept and where they go), and for each shard of the corpus three arrays in numpy's own format, a row a sequence in corpus
order: ``<shard>.codes.npy``, ``<shard>.scales.npy`` (float32 [rows, segments]) and ``<shard>.self.npy`` (float32
[rows], the raw self-influences). Arrays in that format can be written row by row, and mapped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from whence.errors import CorruptArtefactError, NotFoundError
from whence.reasons import Reason
from whence_backends.contract import LayerFold, SketchPlan
from whence_backends.index.codes import CODE_TYPES, code_columns
from whence_backends.index.plan import Segment
from whence_backends.preflight import IndexFacts
from whence_backends.store import Manifest, read_manifest, verify_files

FORMAT: Final = "whence.index/1"
PARTS: Final = ("codes", "scales", "self")


@dataclass(frozen=True, kw_only=True)
class IndexedShard:
    """A shard of the corpus in an index: its name, the position of its first row, and its number of rows."""

    name: str
    first_position: int
    sequences: int


@dataclass(frozen=True, kw_only=True)
class IndexCard:
    """The description of an index, kept in its manifest.

    ``keep`` is the share of coordinates that its sketches are made of; ``layers`` are in the order of the factors.
    """

    model: str
    model_digest: str
    factors_digest: str
    corpus_digest: str
    engine: str
    precision: str
    damping_factor: float
    keep: float
    width: int
    bits: int
    seed: int
    batch_tokens: int
    layers: tuple[str, ...]
    segments: tuple[Segment, ...]
    shards: tuple[IndexedShard, ...]
    versions: Mapping[str, str]

    @property
    def bytes_per_sequence(self) -> int:
        """The size of a row: its code, a scale a segment, its self-influence."""
        return code_columns(self.width, self.bits) * CODE_TYPES[self.bits].itemsize + 4 * len(self.segments) + 4

    @property
    def sequences(self) -> int:
        """The number of rows."""
        return sum(shard.sequences for shard in self.shards)

    def as_properties(self) -> dict[str, Any]:
        """Return the card as the properties of a manifest."""
        return asdict(self)

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> IndexCard:
        """Return the card from the properties of a manifest."""
        segments = tuple(
            Segment(layers=tuple(entry["layers"]), start=entry["start"], width=entry["width"])
            for entry in properties["segments"]
        )
        shards = tuple(IndexedShard(**entry) for entry in properties["shards"])
        return cls(**{**properties, "layers": tuple(properties["layers"]), "segments": segments, "shards": shards})


@dataclass(frozen=True, kw_only=True, eq=False)
class ShardRows:
    """An open shard: ``codes`` [rows, columns], ``scales`` [rows, segments], ``self_influence`` [rows], all mapped."""

    info: IndexedShard
    codes: NDArray[Any]
    scales: NDArray[np.float32]
    self_influence: NDArray[np.float32]


class Index:
    """An open index, or some shards of one. Immutable; threads may share it."""

    def __init__(self, folder: Path, manifest: Manifest, shards: Sequence[ShardRows]) -> None:
        self.folder = folder
        self.digest = manifest.digest
        self.card = IndexCard.from_properties(manifest.properties)
        self.shards = {shard.info.name: shard for shard in shards}

    @classmethod
    def open(cls, folder: Path, *, verify: bool = True, shards: Sequence[str] | None = None) -> Index:
        """Open an index, or only the named shards of it.

        ``verify`` reads the opened files once to check their digests. Raises
        :class:`~whence.errors.NotFoundError` for a folder without a finished index and for an unknown shard, and
        :class:`~whence.errors.CorruptArtefactError` for a file that is missing or altered.
        """
        manifest = read_manifest(folder, FORMAT)
        card = IndexCard.from_properties(manifest.properties)
        chosen = _choose(card, shards, folder)
        wanted = {fold_file(layer) for layer in range(len(card.layers))}
        wanted |= {shard_file(info.name, part) for info in chosen for part in PARTS}
        files = [file for file in manifest.files if file.name in wanted]
        if missing := wanted - {file.name for file in files}:
            raise _corrupt(folder, f"has no {', '.join(sorted(missing))} in its manifest")
        if verify:
            verify_files(folder, files)
        return cls(folder, manifest, [_open_shard(folder, card, info) for info in chosen])

    def plan(self) -> SketchPlan:
        """Read the plan of the index's sketches."""
        folds, starts = [], {name: segment.start for segment in self.card.segments for name in segment.layers}
        for index, name in enumerate(self.card.layers):
            arrays = load_file(self.folder / fold_file(index))
            folds.append(LayerFold(start=starts[name], indices=arrays["indices"], weights=arrays["weights"]))
        return SketchPlan(width=self.card.width, damping_factor=self.card.damping_factor, folds=tuple(folds))

    @property
    def facts(self) -> IndexFacts:
        """The facts that the preflight decides on."""
        card = self.card
        return IndexFacts(
            name=str(self.folder),
            digest=self.digest,
            model_digest=card.model_digest,
            factors_digest=card.factors_digest,
            corpus_digest=card.corpus_digest,
        )


def fold_file(index: int) -> str:
    """Return the name of the file with a layer's fold."""
    return f"fold-{index:05}.safetensors"


def shard_file(shard: str, part: str) -> str:
    """Return the name of the file with one of :data:`PARTS` of a shard."""
    return f"{shard}.{part}.npy"


def row_shapes(card: IndexCard, sequences: int) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """Return the type and shape of each part of a shard."""
    columns = code_columns(card.width, card.bits)
    return {
        "codes": (CODE_TYPES[card.bits], (sequences, columns)),
        "scales": (np.dtype(np.float32), (sequences, len(card.segments))),
        "self": (np.dtype(np.float32), (sequences,)),
    }


def _choose(card: IndexCard, names: Sequence[str] | None, folder: Path) -> list[IndexedShard]:
    known = {info.name: info for info in card.shards}
    for name in names or ():
        if name not in known:
            raise NotFoundError(
                f"{folder} has no shard {name!r}; its shards are {', '.join(known)}",
                reason=Reason.SHARD_NOT_FOUND,
                shard=name,
            )
    return list(card.shards) if names is None else [known[name] for name in dict.fromkeys(names)]


def _open_shard(folder: Path, card: IndexCard, info: IndexedShard) -> ShardRows:
    arrays = {}
    for part, (dtype, shape) in row_shapes(card, info.sequences).items():
        path = folder / shard_file(info.name, part)
        try:
            array = np.load(path, mmap_mode="r" if info.sequences else None)
        except (OSError, ValueError) as error:
            raise _corrupt(path, f"is not an array ({error})") from error
        if array.dtype != dtype or array.shape != shape:
            raise _corrupt(path, f"holds {array.dtype} {list(array.shape)}; its manifest says {dtype} {list(shape)}")
        arrays[part] = array
    return ShardRows(info=info, codes=arrays["codes"], scales=arrays["scales"], self_influence=arrays["self"])


def _corrupt(path: Path, what: str) -> CorruptArtefactError:
    return CorruptArtefactError(f"{path} {what}; build the index again", reason=Reason.CORRUPT_ARTEFACT, path=path)
