"""What the tests of the checks share."""

from __future__ import annotations

import pytest

import tiny_models
from validation.checks.subject import Subject, make, refit


@pytest.fixture(scope="session")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return make(tmp_path_factory.mktemp("checks-subject"))


@pytest.fixture(scope="session")
def with_biases(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return make(tmp_path_factory.mktemp("checks-gpt2"), tiny_models.gpt2)


@pytest.fixture(scope="session")
def single(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """The subject with factors in float32."""
    return refit(subject, tmp_path_factory.mktemp("checks-single") / "factors", precision="float32")
