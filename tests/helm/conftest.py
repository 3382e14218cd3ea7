"""Fixtures: the chart with each file of values in `ci/`."""

from __future__ import annotations

from functools import cache

import pytest

from helm.chart import CASES, Rendered, render, values_of

_rendered = cache(lambda case: render(values_of(case)))


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    """Each file of values, by its name."""
    return str(request.param)


@pytest.fixture
def rendered(case: str) -> Rendered:
    return _rendered(case)


@pytest.fixture
def everything() -> Rendered:
    return _rendered("everything")


@pytest.fixture
def gpu() -> Rendered:
    return _rendered("gpu-shards")


@pytest.fixture
def embedded() -> Rendered:
    return _rendered("embedded")


@pytest.fixture
def torch_free() -> Rendered:
    return _rendered("torch-free")
