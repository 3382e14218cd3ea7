"""A layer that no gradient reaches has influence 0, is told of at the fit, and keeps nothing else from working."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import data
import tiny_models
from whence.errors import InvalidRequestError
from whence_backends.contract import Detail, Engine, EngineConfig
from whence_backends.ekfac.damping import damping
from whence_backends.ekfac.factors import Factors
from whence_backends.engines import load_engine
from whence_backends.export import ExportConfig, export
from whence_backends.fit import FitConfig, fit
from whence_backends.index.plan import make_plan
from whence_backends.index.sketch import fold_gradient, make_sketcher
from whence_backends.preflight import Finding

ITEMS = data.sequences(12)
DEAD = ("model.layers.1.mlp.gate_proj", "model.layers.1.mlp.up_proj")


def with_dead_layers(scale: float = 0.0) -> Any:
    """Return a Llama whose second block adds nothing, as block expansion initialises it."""
    model = tiny_models.llama()
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight.mul_(scale)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dead")
    tiny_models.save(with_dead_layers(), folder / "model")
    export(ExportConfig(model=str(folder / "model"), out=folder / "export"))
    fit(FitConfig(model=str(folder / "model"), out=folder / "factors", device="cpu"), data.InMemory(ITEMS))
    return folder


@pytest.fixture(params=["pytorch", "ort"])
def engine(request: pytest.FixtureRequest, folder: Path) -> Engine:
    model = folder / {"pytorch": "model", "ort": "export"}[request.param]
    return load_engine(request.param, EngineConfig(model=str(model), factors=folder / "factors", device="cpu"))


def test_the_fit_tells_of_them_and_does_not_count_them(tmp_path: Path) -> None:
    told: list[Finding] = []
    model = tiny_models.save(with_dead_layers(), tmp_path / "model")
    source = data.InMemory(ITEMS)
    card = fit(FitConfig(model=str(model), out=tmp_path / "factors", device="cpu"), source, warn=told.append).card
    assert card.dead_layers == DEAD
    assert card.attributed_parameters == sum(
        layer.d_in * layer.d_out for layer in card.layers if layer.name not in DEAD
    )
    [finding] = [finding for finding in told if finding.reason == "DEAD_LAYERS"]
    assert DEAD[0] in finding.message


@pytest.mark.parametrize("damping_factor", [1e-6, 0.1, 10.0])
@pytest.mark.parametrize("rank", [None, 2])
def test_influence_through_them_is_nothing(engine: Engine, damping_factor: float, rank: int | None) -> None:
    """Broken by: dividing by Λ + λ where both are 0."""
    gradients = engine.query_gradients(ITEMS[:2])
    if rank is None:
        queries = engine.precondition(gradients, damping_factor)
    else:
        queries, _ = engine.precondition_low_rank(gradients, damping_factor, rank)  # type: ignore[attr-defined]
    parts = engine.score(queries, ITEMS, Detail.LAYERS)
    assert np.isfinite(parts).all()
    dead = [layer.name in DEAD for layer in engine.info.layers]
    assert (parts[..., dead] == 0).all()
    assert (parts[..., ~np.array(dead)] != 0).any(axis=(0, 1)).all()
    assert engine.info.dead_layers == DEAD


@pytest.mark.parametrize("keep", [0.1, 1.0])
def test_an_index_works_without_them(engine: Engine, folder: Path, keep: float) -> None:
    factors = Factors.open(folder / "factors")
    lambdas = [factors.Lambda(index) for index in range(len(factors.card.layers))]
    plan, _ = make_plan(factors.card.layers, lambdas, damping_factor=0.1, keep=keep, width=1024, groups=2, seed=0)
    sketches = make_sketcher(engine, plan, factors.Lambda)(ITEMS)
    assert np.isfinite(sketches.values).all()
    assert (sketches.self_influence > 0).all()
    [gradient] = engine.query_gradients(ITEMS[:1])
    np.testing.assert_allclose(fold_gradient(gradient, plan), sketches.values[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1e-22])
def test_a_layer_that_is_all_but_dead_gives_no_infinity(scale: float, tmp_path: Path) -> None:
    """Squares that float32 cannot hold. Broken by: calling dead only what is exactly 0."""
    model = tiny_models.save(with_dead_layers(scale), tmp_path / "model")
    fit(FitConfig(model=str(model), out=tmp_path / "factors", device="cpu"), data.InMemory(ITEMS))
    engine = load_engine("pytorch", EngineConfig(model=str(model), factors=tmp_path / "factors", device="cpu"))
    found = engine.score(engine.precondition(engine.query_gradients(ITEMS[:1]), 0.1), ITEMS)
    assert np.isfinite(found).all()


def certain(model: Any) -> None:
    """Every token is certain, so that no gradient is left."""
    model.lm_head.weight.mul_(0)


def beyond(model: Any) -> None:
    """Nothing of the MLP gets through."""
    for layer in model.model.layers:
        for name in ("gate_proj", "down_proj"):
            getattr(layer.mlp, name).weight.mul_(0)


@pytest.mark.parametrize("kill", [certain, beyond])
def test_a_model_without_any_gradient_is_refused(kill: Callable[[Any], None], tmp_path: Path) -> None:
    model = tiny_models.llama()
    with torch.no_grad():
        kill(model)
    tiny_models.save(model, tmp_path / "model")
    with pytest.raises(InvalidRequestError, match="nothing can be attributed") as caught:
        fit(FitConfig(model=str(tmp_path / "model"), out=tmp_path / "factors", device="cpu"), data.InMemory(ITEMS))
    assert caught.value.reason == "MISSING_GRADIENTS"


def test_damping_is_positive_and_never_vanishes() -> None:
    assert damping(2.0, 0.1) == pytest.approx(0.2)
    assert damping(0.0, 0.1) == np.inf
    assert damping(1e-30, 1e-30) > 0
    for mean in (np.nan, np.inf):
        with pytest.raises(InvalidRequestError, match="overflowed"):
            damping(mean, 0.1)
