"""The same numbers on a GPU as on the CPU: one code path, another device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import data
from whence_backends.contract import EngineConfig
from whence_backends.engines import load_engine
from whence_backends.fit import FitConfig, fit
from whence_backends.index.plan import make_plan
from whence_backends.index.sketch import make_sketcher

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")]


@pytest.mark.parametrize("architecture", ["llama-tied-bias", "gpt2"])
def test_factors_and_influences_on_cuda_are_those_of_the_cpu(
    architecture: str, model_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    items, influences = data.sequences(24), []
    for device in ("cpu", "cuda"):
        config = FitConfig(
            model=str(model_folder(architecture)), out=tmp_path / device, device=device, labels="empirical"
        )
        fit(config, data.InMemory(items))
        engine = load_engine("pytorch", EngineConfig(model=config.model, factors=config.out, device=device))
        influences.append(engine.score(engine.precondition(engine.query_gradients(items[:4]), 0.1), items))
    assert np.abs(influences[1] - influences[0]).max() <= 1e-4 * np.abs(influences[0]).max()


def test_sketches_on_cuda_are_those_of_the_cpu(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    items, values, self_influences = data.sequences(24), [], []
    config = FitConfig(model=str(model_folder("llama-tied-bias")), out=tmp_path / "factors", labels="empirical")
    factors = fit(config, data.InMemory(items))
    Lambdas = [factors.Lambda(index) for index in range(len(factors.card.layers))]
    plan, _ = make_plan(factors.card.layers, Lambdas, damping_factor=0.1, keep=0.5, width=512, groups=1, seed=0)
    for device in ("cpu", "cuda"):
        engine = load_engine("pytorch", EngineConfig(model=config.model, factors=config.out, device=device))
        sketches = make_sketcher(engine, plan, factors.Lambda)(items)
        values.append(sketches.values)
        self_influences.append(sketches.self_influence)
    for cpu, cuda in (values, self_influences):
        assert np.abs(cuda - cpu).max() <= 1e-4 * np.abs(cpu).max()


def test_bfloat16_sums_stay_in_float32_on_cuda() -> None:
    from whence_backends.ekfac.statistics import gram

    x = torch.randn(5000, 64, device="cuda", dtype=torch.bfloat16)
    torch.testing.assert_close(gram(x), x.float().T @ x.float(), rtol=1e-5, atol=1e-2)
