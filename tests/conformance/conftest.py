"""Tiny models are quickest on one thread; and somebody else's engine is installed, as far as Python can tell."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import torch

from conformance.subjects import SITE


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package", autouse=True)
def somebody_elses_engine() -> Iterator[None]:
    sys.path.append(str(SITE))
    yield
    sys.path.remove(str(SITE))
