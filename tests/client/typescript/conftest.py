"""The client in TypeScript, built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from typescript import build


@pytest.fixture(scope="package")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the client's modules."""
    return build(tmp_path_factory.mktemp("typescript"))
