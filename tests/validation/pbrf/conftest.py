"""A tiny language model with factors, and its responses, for the tests of the job and of its command."""

from __future__ import annotations

from dataclasses import replace

import pytest

from validation.pbrf.language import Shape, make_language_artefacts
from whence_backends.validation.pbrf.config import PbrfConfig
from whence_backends.validation.pbrf.job import run_pbrf
from whence_backends.validation.pbrf.result import PbrfResult

COPIES = (0.01, 0.002)


@pytest.fixture(scope="package")
def config(tmp_path_factory: pytest.TempPathFactory) -> PbrfConfig:
    shape = Shape(width=16, hidden=24, blocks=1, tokens=32)
    made = make_language_artefacts(tmp_path_factory.mktemp("pbrf"), documents=6, points=3, epochs=3, shape=shape)
    return replace(made, sequences=12, columns=150, copies=COPIES, damping_factor=10.0)


@pytest.fixture(scope="package")
def result(config: PbrfConfig) -> PbrfResult:
    return run_pbrf(config)
