"""The client in TypeScript, built in a folder of its own as its README says; skipped where that cannot be done."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OLDEST_NODE = 18


def build(folder: Path) -> Path:
    """Build the client in ``folder`` and return the folder of its modules."""
    _require_node()
    package = folder / "clients" / "typescript"
    without = shutil.ignore_patterns("node_modules", "dist", "generated")
    shutil.copytree(ROOT / "clients" / "typescript", package, ignore=without)
    shutil.copytree(ROOT / "proto", folder / "proto")
    shutil.copy(ROOT / "buf.yaml", folder)
    installed = _npm(package, "ci", "--no-audit", "--no-fund", "--prefer-offline")
    if installed.returncode and _npm(package, "ping").returncode:
        pytest.skip(f"npm's registry cannot be reached: {installed.stderr[-300:]}")
    assert installed.returncode == 0, installed.stderr
    built = _npm(package, "run", "build")
    assert built.returncode == 0, built.stdout + built.stderr
    return package / "dist"


def _require_node() -> None:
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed (Debian's packages nodejs and npm)")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"node {version} is older than {OLDEST_NODE}")


def _npm(package: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["npm", *arguments], cwd=package, capture_output=True, text=True, timeout=240, check=False)
