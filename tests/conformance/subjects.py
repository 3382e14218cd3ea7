"""What the conformance suite is run on: every engine, on every architecture, in every precision it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import data
import models
import numpy as np

from whence_backends.contract import Engine, EngineConfig, TokenSequence
from whence_backends.ekfac.factors import Factors
from whence_backends.engines import load_engine
from whence_backends.engines.fake import FakeModel, fit_fake
from whence_backends.fit import FitConfig, fit


@dataclass(frozen=True, kw_only=True)
class Case:
    """An engine on an architecture; ``rtol`` is what its precision allows, relative to the largest influence."""

    engine: str
    architecture: str
    precision: str
    rtol: float

    def __str__(self) -> str:
        return f"{self.engine}-{self.architecture}-{self.precision}"


# transformers computes Llama's RMS norms in float32 whatever the model's precision: their backward pass rounds.
_RMS_NORM_RTOL = 1e-7

CASES = [
    Case(engine="fake", architecture="fake", precision="float64", rtol=1e-9),
    *(
        Case(engine="pytorch", architecture=architecture, precision=precision, rtol=rtol)
        for architecture, float64_rtol in (("llama", _RMS_NORM_RTOL), ("llama-tied-bias", _RMS_NORM_RTOL), ("gpt2", 1e-9))
        for precision, rtol in (("float64", float64_rtol), ("float32", 1e-4))
    ),
]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An engine with the training sequences its factors were fitted on."""

    case: Case
    engine: Engine
    factors: Factors
    model: Path
    items: list[TokenSequence]

    def influences(self, queries: list[TokenSequence], items: list[TokenSequence], **options: object) -> np.ndarray:
        """Gradients, preconditioning and scores in one."""
        damping_factor = options.pop("damping_factor", 0.1)
        prepared = self.engine.precondition(self.engine.query_gradients(queries), damping_factor)
        return self.engine.score(prepared, items, **options)


def build(case: Case, model_folder: Callable[[str], Path], folder: Path) -> Subject:
    """Make the model, fit its factors on the data's labels, and load the engine."""
    items = data.sequences(24)
    source = data.InMemory(items)
    if case.engine == "fake":
        model = folder / "model"
        FakeModel.random(models.VOCABULARY).save(model)
        factors = fit_fake(model, source, folder / "factors")
    else:
        model = model_folder(case.architecture)
        factors = fit(
            FitConfig(
                model=str(model), out=folder / "factors", precision=case.precision, device="cpu", batch_tokens=64,
                labels="empirical", tracked="all-linear",
            ),
            source,
        )  # fmt: skip
    config = EngineConfig(model=str(model), factors=folder / "factors", precision=case.precision, device="cpu")
    return Subject(case=case, engine=load_engine(case.engine, config), factors=factors, model=model, items=items)
