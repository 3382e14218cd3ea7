"""A completion of probability e^-300 has a finite log-likelihood and finite influences, equal on all engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import data
import tiny_models
from dense_oracle import DenseOracle
from whence_backends.contract import Engine, EngineConfig, TokenSequence
from whence_backends.engines import load_engine
from whence_backends.engines.fake import FakeModel, fit_fake
from whence_backends.export import ExportConfig, export
from whence_backends.fit import FitConfig, fit

ITEMS = data.sequences(8)
ENGINES = [("pytorch", "float32"), ("pytorch", "float64"), ("ort", "float32"), ("pytorch", "bfloat16")]
over_engines = pytest.mark.parametrize(("name", "precision"), ENGINES)


def sure() -> Any:
    """A model that is sure of itself: its logits lie hundreds apart."""
    model = tiny_models.llama(blocks=1)
    with torch.no_grad():
        model.lm_head.weight.mul_(400)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model, its export, and factors with sampled and with the data's labels."""
    folder = tmp_path_factory.mktemp("sure")
    tiny_models.save(sure(), folder / "model")
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


def improbable() -> tuple[TokenSequence, float]:
    """A completion of one token, the least probable after its context, and its log-probability in float64."""
    context = data.sequence(9, 1).token_ids
    with torch.no_grad():
        logits = sure().double()(torch.from_numpy(context.astype(np.int64))[None]).logits[0, -1]
    log_p, token = torch.log_softmax(logits, dim=-1).min(dim=-1)
    weights = np.eye(1, len(context) + 1, len(context), dtype=np.float32)[0]
    return TokenSequence(token_ids=np.append(context, np.int32(token)), weights=weights), float(log_p)


@over_engines
def test_a_token_of_probability_e_to_the_minus_300_has_its_log_probability(
    folder: Path, name: str, precision: str
) -> None:
    """Broken by: the logarithm of a probability, which float32 rounds to 0 below e^-103."""
    query, log_p = improbable()
    assert log_p < -300
    [gradient] = load(folder, name, precision).query_gradients([query])
    assert gradient.log_likelihood == pytest.approx(log_p, rel=0.05 if precision == "bfloat16" else 1e-5)


@over_engines
def test_the_log_likelihood_is_finite_and_right(folder: Path, name: str, precision: str) -> None:
    """Broken by: the logarithm of a probability, which float32 rounds to 0 below e^-103."""
    engine = load(folder, name, precision)
    oracle = DenseOracle(sure(), engine.info.layers)
    got = [gradient.log_likelihood for gradient in engine.query_gradients(ITEMS)]
    want = [oracle.log_likelihood(item) for item in ITEMS]
    assert max(want) < -300
    np.testing.assert_allclose(got, want, rtol=0.05 if precision == "bfloat16" else 1e-5)


def test_influences_are_finite_and_equal_on_all_engines(folder: Path) -> None:
    query, _ = improbable()
    scored = {}
    for name, precision in ENGINES[:3]:
        engine = load(folder, name, precision)
        preconditioned = engine.precondition(engine.query_gradients([query, *ITEMS[:3]]), 0.1)
        scored[name, precision] = engine.score(preconditioned, [query, *ITEMS])
    want = scored["pytorch", "float64"]
    assert np.isfinite(want).all()
    assert (want != 0).all()
    for got in scored.values():
        np.testing.assert_allclose(got, want, rtol=1e-2, atol=1e-3 * np.abs(want).max())


def test_the_fake_engine_has_them_finite_too(tmp_path: Path) -> None:
    """Broken by: a softmax without its largest logit taken off."""
    plain = FakeModel.random(tiny_models.VOCABULARY)
    FakeModel(E=60 * plain.E, W1=plain.W1 / 60, W2=plain.W2).save(tmp_path / "model")
    fit_fake(tmp_path / "model", data.InMemory(ITEMS), tmp_path / "factors")
    engine = load_engine("fake", EngineConfig(model=str(tmp_path / "model"), factors=tmp_path / "factors"))
    gradients = engine.query_gradients(ITEMS)
    assert -np.inf < min(gradient.log_likelihood for gradient in gradients) < -300
    assert np.isfinite(engine.score(engine.precondition(gradients, 0.1), ITEMS)).all()
