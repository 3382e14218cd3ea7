"""Checks of this machine's installation."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Final

from whence import __version__
from whence.cli.checks.check import Check, Outcome

PACKAGES: Final = ("grpcio", "protobuf", "typer", "rich")
OPTIONAL: Final = ("numpy", "pandas", "torch", "transformers", "onnxruntime", "onnxruntime-gpu")


def check_installation() -> Iterator[Check]:
    """Yield the versions of Python, Whence and the packages that it needs or can use."""
    yield Check.that(
        "Python", sys.version_info >= (3, 11), platform.python_version(), advice="Whence needs Python 3.11 or newer"
    )
    yield Check(name="whence", outcome=Outcome.OK, fact=__version__)
    for package in PACKAGES:
        version = _version(package)
        advice = "pip install --force-reinstall whence"
        yield Check.that(package, bool(version), version or "not installed", advice=advice)
    optional = [f"{package} {_version(package)}" for package in OPTIONAL if _version(package)]
    yield Check(name="optional packages", outcome=Outcome.OK, fact=", ".join(optional) or "none")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
