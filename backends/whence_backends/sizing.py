"""The memory that a worker takes, by its parts, from manifests alone. docs/operations.md has the formulas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from whence_backends.corpus import Corpus
from whence_backends.ekfac.factors import Factors, FactorsCard
from whence_backends.index import Index
from whence_backends.index.storage import fold_file
from whence_backends.inspection import Named

_WEIGHT_BYTES: Final = {"float32": 4, "bfloat16": 2, "float64": 8}


class Place(Enum):
    """Where memory is taken: the device of the engine, the process, or files that are mapped and can be paged out."""

    DEVICE = "on the device"
    PROCESS = "in the process"
    MAPPED = "of mapped files"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a worker's memory."""

    name: str
    place: Place
    size_bytes: int


def worker_parts(named: Named, precision: str = "float32") -> Iterator[Part]:
    """Yield the parts that follow from the artefacts: all but the caches, the batches and the runtime itself.

    ``one query`` is what each query takes while it is scored, and is needed once at least.
    Raises the errors of opening an artefact, and ``ValueError`` without factors, which know the model's size.
    """
    if named.factors is None:
        raise ValueError("the size of a model is read from its factors; name them")
    card = Factors.open(named.factors, verify=False).card
    wide = 8 if precision == "float64" else 4  # the mathematics never runs in less
    yield Part(name="weights", place=Place.DEVICE, size_bytes=card.parameters * _WEIGHT_BYTES[precision])
    yield Part(name="factors", place=Place.DEVICE, size_bytes=_factor_elements(card) * wide)
    yield Part(name="one query", place=Place.DEVICE, size_bytes=_tracked_elements(card) * wide)
    if named.index is not None:
        index = Index.open(named.index, verify=False, shards=named.shards)
        rows = sum(shard.info.sequences for shard in index.shards.values())
        folds = [index.folder / fold_file(layer) for layer in range(len(index.card.layers))]
        yield Part(name="folds", place=Place.PROCESS, size_bytes=sum(path.stat().st_size for path in folds))
        yield Part(name="index", place=Place.MAPPED, size_bytes=rows * index.card.bytes_per_sequence)
    if named.corpus is not None:
        corpus = Corpus.open(named.corpus, verify=False, shards=named.shards)
        files = [file for shard in corpus.shards for file in corpus.path.glob(f"{shard.name}.*")]
        yield Part(name="corpus", place=Place.MAPPED, size_bytes=sum(file.stat().st_size for file in files))


def _factor_elements(card: FactorsCard) -> int:
    """Return the elements of Q_A, Q_S and Λ of every layer."""
    return sum(layer.d_in**2 + layer.d_out**2 + layer.d_in * layer.d_out for layer in card.layers)


def _tracked_elements(card: FactorsCard) -> int:
    return sum(layer.d_in * layer.d_out for layer in card.layers)
