"""The gradient index of a demo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from whence_backends.contract import EngineConfig
from whence_backends.corpus import Corpus
from whence_backends.demo.subjects import Subject
from whence_backends.ekfac.factors import Factors
from whence_backends.engines import load_engine
from whence_backends.index import IndexConfig, IndexProgress, build_index


def index(
    subject: Subject, corpus: Path, factors: Factors, folder: Path, progress: Callable[[IndexProgress], None]
) -> Path:
    """Build the index of a subject in ``folder`` and return its own folder. An existing index is reused."""
    engine = load_engine(
        "pytorch", EngineConfig(model=subject.model, factors=factors.folder, precision=subject.precision)
    )
    config = IndexConfig(
        model=subject.model,
        out=folder / "index",
        width=subject.index_values,
        batch_tokens=2048,
    )
    build_index(config, engine, factors, Corpus.open(corpus, verify=False), progress)
    return config.out
