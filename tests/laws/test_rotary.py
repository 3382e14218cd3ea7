"""Rotary frequencies that change with the longest sequence of a batch: each sequence has those that it has alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import data
from architectures import build
from dense_oracle import DenseOracle
from tiny_models import save
from whence_backends.batching import apart
from whence_backends.contract import Detail, Engine, EngineConfig
from whence_backends.ekfac.rotary import rotary_bounds
from whence_backends.engines import load_engine
from whence_backends.export import ExportConfig, export
from whence_backends.fit import FitConfig, fit

BOUND = 16
LONGROPE = {
    "rope_type": "longrope",
    "short_factor": [1.0, 1.0, 1.0, 1.0],
    "long_factor": [1.0, 2.0, 4.0, 8.0],
    "rope_theta": 10_000.0,
    "original_max_position_embeddings": BOUND,
}
ITEMS = [data.sequence(length, length) for length in (9, BOUND, BOUND + 1, BOUND + 2, 40, 12)]


def phi3() -> Any:
    settings = {"rope_parameters": LONGROPE, "original_max_position_embeddings": BOUND, "sliding_window": None}
    return build("phi3", num_hidden_layers=1, **settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("longrope")
    save(phi3(), folder / "model")
    config = FitConfig(model=str(folder / "model"), out=folder / "factors", device="cpu", precision="float64")
    fit(config, data.InMemory(ITEMS))
    return folder


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    config = EngineConfig(
        model=str(folder / "model"), factors=folder / "factors", device="cpu", precision="float64", threads=1
    )
    return load_engine("pytorch", config)


@pytest.mark.parametrize("detail", Detail)
def test_influence_does_not_depend_on_company(engine: Engine, detail: Detail) -> None:
    """Broken by: one batch for all, which gives the short ones the frequencies of the long ones."""
    query = engine.precondition(engine.query_gradients([ITEMS[4], ITEMS[0]]), 0.1)
    together = engine.score(query, ITEMS, detail)
    for place, item in enumerate(ITEMS):
        alone = engine.score(query, [item], detail)[:, 0]
        got = together[:, place]
        got = got[..., : alone.shape[-1]] if detail is Detail.LAYERS_TOKENS else got
        np.testing.assert_allclose(got, alone, rtol=1e-9, atol=1e-9)


def test_gradients_are_those_of_the_model_on_each_sequence_alone(engine: Engine, folder: Path) -> None:
    """Broken by: one set of frequencies for all sequences."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float64).eval()
    oracle = DenseOracle(model, engine.info.layers)
    for item, gradient in zip(ITEMS, engine.query_gradients(ITEMS), strict=True):
        assert gradient.log_likelihood == pytest.approx(oracle.log_likelihood(item), rel=1e-9)


def test_a_fit_does_not_mix_them(folder: Path, tmp_path: Path) -> None:
    """Broken by: batches by length alone. Factors are the same whatever shares a batch."""
    from whence_backends.ekfac.factors import Factors

    config = FitConfig(
        model=str(folder / "model"), out=tmp_path / "one", device="cpu", precision="float64", batch_tokens=1
    )
    one, many = fit(config, data.InMemory(ITEMS)), Factors.open(folder / "factors")
    for index in range(len(one.card.layers)):
        np.testing.assert_allclose(one.Lambda(index).mean(), many.Lambda(index).mean(), rtol=1e-9)


def test_an_export_takes_no_sequence_beyond_the_bound(folder: Path, tmp_path: Path) -> None:
    exported = export(ExportConfig(model=str(folder / "model"), out=tmp_path / "export", precision="float64"))
    assert exported.card.max_tokens == BOUND + 1  # its last token is only ever a target


def test_bounds_are_read_from_every_kind_of_layer() -> None:
    config = build("llama").config
    assert rotary_bounds(config) == ()
    config.rope_parameters = {"full_attention": {"rope_type": "yarn"}, "sliding_attention": LONGROPE}
    assert rotary_bounds(config) == (BOUND,)


def test_sequences_on_two_sides_of_a_bound_are_apart() -> None:
    lengths = [BOUND + 1, BOUND + 2, 1, 60]
    assert [part.tolist() for part in apart(lengths, (BOUND,))] == [[0, 2], [1, 3]]
    assert [part.tolist() for part in apart(lengths, ())] == [[0, 1, 2, 3]]
