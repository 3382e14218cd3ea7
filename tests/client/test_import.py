"""What `import whence` costs and brings."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import whence
from whence import errors

HEAVY = ("torch", "numpy", "pandas", "transformers", "rich", "typer")


def test_importing_the_client_imports_nothing_heavy():
    program = f"import sys, whence; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_error_is_exported():
    assert {error.__name__ for error in errors.ERRORS} < set(whence.__all__)
    assert {"WhenceError", "StorageError"} < set(whence.__all__)


@pytest.mark.parametrize("name", whence.__all__)
def test_every_exported_name_is_there(name):
    assert getattr(whence, name) is not None


def test_the_version_is_the_distributions():
    for folder in Path(__file__).parents:
        if (folder / "pyproject.toml").exists():
            project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
            assert whence.__version__ == project["version"]
            return
    pytest.skip("not run from a checkout")
