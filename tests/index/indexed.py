"""The fake engine with factors, and a corpus of several shards in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import data
import tiny_models
from whence_backends.contract import EngineConfig, TokenSequence
from whence_backends.ekfac.factors import Factors
from whence_backends.engines import load_engine
from whence_backends.engines.fake import FakeModel, fit_fake
from whence_backends.index import IndexConfig
from whence_backends.preflight import CorpusFacts


@dataclass(frozen=True)
class Shard:
    name: str
    first_position: int
    sequences: int
    tokens: int


class Sharded:
    """A corpus in memory, cut into shards of these many sequences."""

    def __init__(self, items: list[TokenSequence], sizes: Sequence[int], digest: str = "blake3:sharded") -> None:
        self.items, self.digest = items, digest
        firsts = np.concatenate([[0], np.cumsum(sizes)])
        assert firsts[-1] == len(items)
        self.shards = [
            Shard(f"shard-{number}", int(first), size, sum(len(item.token_ids) for item in items[first : first + size]))
            for number, (first, size) in enumerate(zip(firsts, sizes, strict=False))
        ]

    @property
    def facts(self) -> CorpusFacts:
        return data.facts_of(self.items, self.digest)

    def lengths(self, shard: str) -> np.ndarray:
        [info] = [info for info in self.shards if info.name == shard]
        rows = self.items[info.first_position : info.first_position + info.sequences]
        return np.array([len(item.token_ids) for item in rows], np.int32)

    def tokens_at(self, positions: Sequence[int]) -> list[TokenSequence]:
        return [self.items[position] for position in positions]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A fake engine, its factors and its corpus."""

    engine: object
    factors: Factors
    source: Sharded

    def config(self, out: Path, **options: object) -> IndexConfig:
        small = {"width": 512, "keep": 0.5, "batch_tokens": 64, "block_sequences": 5, "layer_groups": 1}
        return IndexConfig(out=out, **{"model": "fake", **small, **options})


def make_subject(folder: Path) -> Subject:
    """Make a subject in ``folder``; what is there already is used."""
    items = data.sequences(40)
    if not (folder / "model").exists():
        FakeModel.random(tiny_models.VOCABULARY).save(folder / "model")
        fit_fake(folder / "model", data.InMemory(items), folder / "factors")
    factors = Factors.open(folder / "factors")
    engine = load_engine("fake", EngineConfig(model=str(folder / "model"), factors=folder / "factors"))
    return Subject(engine=engine, factors=factors, source=Sharded(items, [17, 0, 14, 9]))
