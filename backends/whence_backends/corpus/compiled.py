"""Compiles the loops over a corpus's tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at the first call, and cache the machine code on disk if a folder is writable."""
    try:
        loop: Callable[..., Any] = njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba finds no writable folder for its cache
        loop = njit(nogil=True)(function)
    return loop
