"""A completion that the model all but excludes has a finite log-likelihood and finite influences, on every engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import data
import tiny_models
from dense_oracle import DenseOracle
from whence_backends.contract import Engine, EngineConfig
from whence_backends.engines import load_engine
from whence_backends.export import ExportConfig, export
from whence_backends.fit import FitConfig, fit

ITEMS = data.sequences(8)
ENGINES = [("pytorch", "float32"), ("pytorch", "float64"), ("ort", "float32"), ("pytorch", "bfloat16")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is sure of itself: its logits lie hundreds apart."""
    folder = tmp_path_factory.mktemp("sure")
    model = tiny_models.llama()
    with torch.no_grad():
        model.lm_head.weight.mul_(60)
    tiny_models.save(model, folder / "model")
    export(ExportConfig(model=str(folder / "model"), out=folder / "export"))
    for labels in ("sampled", "empirical"):
        config = FitConfig(model=str(folder / "model"), out=folder / labels, device="cpu", labels=labels)
        fit(config, data.InMemory(ITEMS))
    return folder


def load(folder: Path, name: str, precision: str) -> Engine:
    model = folder / {"pytorch": "model", "ort": "export"}[name]
    return load_engine(
        name, EngineConfig(model=str(model), factors=folder / "empirical", device="cpu", precision=precision, threads=1)
    )


@pytest.mark.parametrize(("name", "precision"), ENGINES)
def test_the_log_likelihood_is_finite_and_right(folder: Path, name: str, precision: str) -> None:
    """Broken by: the logarithm of a probability, which float32 rounds to 0 below e^-103."""
    engine = load(folder, name, precision)
    oracle = DenseOracle(tiny_models.llama(), engine.info.layers)
    with torch.no_grad():
        oracle.model.lm_head.weight.mul_(60)
    got = [gradient.log_likelihood for gradient in engine.query_gradients(ITEMS)]
    want = [oracle.log_likelihood(item) for item in ITEMS]
    assert max(want) < -200
    np.testing.assert_allclose(got, want, rtol=0.05 if precision == "bfloat16" else 1e-5)


def test_influences_are_finite_and_equal_on_all_engines(folder: Path) -> None:
    found = {}
    for name, precision in ENGINES[:3]:
        engine = load(folder, name, precision)
        found[name, precision] = engine.score(engine.precondition(engine.query_gradients(ITEMS[:3]), 0.1), ITEMS)
    want = found["pytorch", "float64"]
    assert np.isfinite(want).all()
    for got in found.values():
        np.testing.assert_allclose(got, want, rtol=1e-2, atol=1e-3 * np.abs(want).max())
