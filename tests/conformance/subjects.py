"""What the conformance suite is run on: every engine, on every architecture, in every precision it has."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

import data
import tiny_models
from conformance.characters import write_tokenizer
from whence_backends.contract import Detail, Engine, EngineConfig, TokenSequence
from whence_backends.ekfac.factors import Factors
from whence_backends.engines import load_engine
from whence_backends.engines.fake import FakeModel, fit_fake, fit_traces
from whence_backends.export import ExportConfig, export
from whence_backends.fit import FitConfig, fit
from whence_backends.models import resolve_model


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
# The same in ONNX Runtime's float32, which rounds otherwise; and the exporter writes GELU's constants in float32.
_ORT_RTOL = {"llama": 2e-5, "llama-tied-bias": 2e-5, "gpt2": 5e-7}

# Where the packages of an engine that is not ours are.
SITE = Path(__file__).parents[1] / "e2e" / "site"

CASES = [
    Case(engine="fake", architecture="fake", precision="float64", rtol=1e-9),
    Case(engine="bigram", architecture="bigram", precision="float64", rtol=1e-9),
    *(
        Case(engine="pytorch", architecture=architecture, precision=precision, rtol=rtol)
        for architecture, float64_rtol in (
            ("llama", _RMS_NORM_RTOL),
            ("llama-tied-bias", _RMS_NORM_RTOL),
            ("gpt2", 1e-9),
        )
        for precision, rtol in (("float64", float64_rtol), ("float32", 1e-4))
    ),
    *(
        Case(engine="ort", architecture=architecture, precision=precision, rtol=rtol)
        for architecture, float64_rtol in _ORT_RTOL.items()
        for precision, rtol in (("float64", float64_rtol), ("float32", 1e-4))
    ),
]
# One of each engine, each precision and each of the architectures that differ most.
WIRE_CASES = [
    case
    for case in CASES
    if str(case)
    in (
        "fake-fake-float64",
        "bigram-bigram-float64",
        "pytorch-llama-tied-bias-float32",
        "pytorch-gpt2-float64",
        "ort-llama-tied-bias-float32",
        "ort-gpt2-float64",
    )
]


class Subject(Protocol):
    """What is held to the laws, with the training sequences its factors were fitted on."""

    @property
    def case(self) -> Case: ...

    @property
    def factors(self) -> Factors: ...

    @property
    def model(self) -> Path: ...

    @property
    def items(self) -> list[TokenSequence]: ...

    def influences(
        self,
        queries: list[TokenSequence],
        items: list[TokenSequence],
        *,
        detail: Detail = Detail.TOTAL,
        damping_factor: float = 0.1,
    ) -> np.ndarray:
        """Return the raw influence of each item on each query, split as ``detail`` says."""
        ...

    def log_likelihoods(self, queries: list[TokenSequence]) -> list[float]:
        """Return the measurement of each query."""
        ...


@dataclass(frozen=True, kw_only=True)
class InProcess:
    """An engine, called by its contract, and what it was loaded from: the ``model``, or an export of it."""

    case: Case
    engine: Engine
    config: EngineConfig
    factors: Factors
    model: Path
    items: list[TokenSequence]

    def influences(
        self,
        queries: list[TokenSequence],
        items: list[TokenSequence],
        *,
        detail: Detail = Detail.TOTAL,
        damping_factor: float = 0.1,
    ) -> np.ndarray:
        prepared = self.engine.precondition(self.engine.query_gradients(queries), damping_factor)
        return self.engine.score(prepared, items, detail)

    def log_likelihoods(self, queries: list[TokenSequence]) -> list[float]:
        return [gradient.log_likelihood for gradient in self.engine.query_gradients(queries)]


def build(case: Case, model_folder: Callable[[str], Path], folder: Path) -> InProcess:
    """Make the model, fit its factors on the data's labels, and load the engine."""
    items = data.sequences(24)
    source = data.InMemory(items)
    if case.engine == "fake":
        model = folder / "model"
        FakeModel.random(tiny_models.VOCABULARY).save(model)
        write_tokenizer(model)
        factors = fit_fake(model, source, folder / "factors")
    elif case.engine == "bigram":
        model, factors = build_bigram(source, folder)
    else:
        model = shutil.copytree(model_folder(case.architecture), folder / "model")
        write_tokenizer(model)
        factors = fit(
            FitConfig(
                model=str(model), out=folder / "factors", precision=case.precision, device="cpu", batch_tokens=64,
                labels="empirical", tracked="all-linear",
            ),
            source,
        )  # fmt: skip
    served = model
    if case.engine == "ort":
        served = folder / "export"
        export(ExportConfig(model=str(model), out=served, tracked="all-linear", precision=case.precision))
    config = EngineConfig(
        model=str(served), factors=folder / "factors", precision=case.precision, device="cpu", threads=1
    )
    engine = load_engine(case.engine, config)
    return InProcess(case=case, engine=engine, config=config, factors=factors, model=model, items=items)


def build_bigram(source: data.InMemory, folder: Path) -> tuple[Path, Factors]:
    """Make a model of the engine that is not ours, and its factors."""
    from bigram_engine import Bigram

    model, bigram = folder / "model", Bigram.random(tiny_models.VOCABULARY)
    bigram.save(model)
    write_tokenizer(model)
    factors = fit_traces(
        resolve_model(str(model)),
        lambda sequence: [bigram.trace(sequence)[1]],
        source,
        folder / "factors",
        layers=(bigram.layer,),
        parameters=bigram.E.size + bigram.W.size + bigram.U.size,
    )
    return model, factors
