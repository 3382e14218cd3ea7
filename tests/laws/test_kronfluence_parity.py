"""Agreement with kronfluence, an independent implementation, on the same model and data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

import data
from conftest import ARCHITECTURES
from kronfluence_oracle import Kronfluence
from whence_backends.contract import Detail, Engine, EngineConfig
from whence_backends.engines import load_engine
from whence_backends.fit import FitConfig, fit

Folder = Callable[[str], Path]
DTYPES = {"float64": torch.float64, "float32": torch.float32}
QUERIES = 4


def ours(model: Path, out: Path, items: list, precision: str, labels: str = "empirical") -> Engine:
    config = FitConfig(model=str(model), out=out, precision=precision, device="cpu", batch_tokens=128, labels=labels)
    fit(config, data.InMemory(items))
    return load_engine("pytorch", EngineConfig(model=str(model), factors=out, precision=precision, device="cpu"))


def theirs(
    model: Path, engine: Engine, items: list, folder: Path, *, empirical: bool = True, batch_size: int = 8
) -> Kronfluence:
    dtype = DTYPES[engine.info.precision]
    analysis = Kronfluence(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=dtype).eval(),
        layers=[layer.name for layer in engine.info.layers],
        train=items, queries=items[:QUERIES], folder=folder, empirical=empirical, dtype=dtype, batch_size=batch_size,
    )  # fmt: skip
    analysis.fit()
    return analysis


def scores(engine: Engine, items: list, detail: Detail = Detail.TOTAL) -> np.ndarray:
    return engine.score(engine.precondition(engine.query_gradients(items[:QUERIES]), 0.1), items, detail)


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-8), ("float32", 1e-4)])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_with_empirical_labels_are_kronfluences(
    architecture: str, precision: str, tolerance: float, model_folder: Folder, tmp_path: Path
) -> None:
    """Broken by: Q where Qᵀ is meant; a damping that is not 0.1 · mean(Λ) of each layer; means over tokens."""
    # No masked prompts: kronfluence keeps their positions in S (their gradients are not 0), we keep valid ones only.
    items = [data.sequence(4 + seed % 17, seed) for seed in range(20)]
    engine = ours(model_folder(architecture), tmp_path / "factors", items, precision)
    oracle = theirs(model_folder(architecture), engine, items, tmp_path / "kronfluence")
    expected = oracle.scores()["all_modules"]
    assert np.abs(scores(engine, items) - expected).max() <= tolerance * np.abs(expected).max()
    layers, by_layer = scores(engine, items, Detail.LAYERS), oracle.scores(by_layer=True)
    for index, layer in enumerate(engine.info.layers):
        want = by_layer[layer.name]
        assert np.abs(layers[:, :, index] - want).max() <= tolerance * np.abs(want).max(), layer.name


def test_scores_with_sampled_labels_correlate_with_kronfluences(model_folder: Folder, tmp_path: Path) -> None:
    """Broken by: labels that are not the model's own: always its best guess, or always the data's."""
    items = [data.sequence(16, seed) for seed in range(1500)]
    engine = ours(model_folder("gpt2"), tmp_path / "factors", items, "float32", labels="sampled")
    oracle = theirs(model_folder("gpt2"), engine, items, tmp_path / "kronfluence", empirical=False, batch_size=64)
    got, want = scores(engine, items), oracle.scores()["all_modules"]
    others = np.s_[:, QUERIES:]  # a query's influence on itself dwarfs the rest and would flatter the correlation
    for got_row, want_row in zip(got[others], want[others], strict=True):
        assert np.corrcoef(got_row, want_row)[0, 1] >= 0.995
