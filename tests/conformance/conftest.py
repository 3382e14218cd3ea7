"""Tiny models are quickest on one thread; and somebody else's engine is installed, as far as Python can tell."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from conformance.subjects import SITE, Case, InProcess, build


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


@pytest.fixture(scope="session")
def in_process(
    model_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Case], InProcess]:
    """Return a case's subject; made once."""
    made: dict[Case, InProcess] = {}

    def make(case: Case) -> InProcess:
        if case not in made:
            made[case] = build(case, model_folder, tmp_path_factory.mktemp("subject"))
        return made[case]

    return make
