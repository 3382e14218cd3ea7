"""Shared fixtures: tiny models on disk, their factors, and quiet libraries."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from schedule import GroupScheduling, turn_of

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("MKL_CBWR", "AUTO")  # as load_causal_lm does, but some test may multiply first
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # processes that run tests side by side share the cores

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("whence", deadline=None)
settings.load_profile("whence")

ARCHITECTURES = ("llama", "llama-tied-bias", "gpt2")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: turn_of(item.nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    config.option.loadscopereorder = False  # by the number of tests; ours is by how long they take
    return GroupScheduling(config, log)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a tiny model of an architecture, made once per session."""
    import tiny_models

    made: dict[str, Path] = {}

    def make(architecture: str) -> Path:
        if architecture not in made:
            build = {
                "llama": tiny_models.llama,
                "llama-tied-bias": lambda: tiny_models.llama(tie=True, bias=True),
                "gpt2": tiny_models.gpt2,
            }[architecture]
            made[architecture] = tiny_models.save(build(), tmp_path_factory.mktemp("models") / architecture)
        return made[architecture]

    return make


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, really full after that."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a tmpfs needs privileges this user does not have")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
