"""Bins of influences: the first 16 bits of a float64, which are its sign, its exponent and four bits of its mantissa.

There are 16 bins for each power of two, none wider than a sixteenth of the values in it, at every scale that a float64
has. Their edges are the same for every query, so that counts add up over batches, shards and workers to the same bits.
"""

from __future__ import annotations

import struct
from typing import Final

_SHIFT: Final = 48
_SIGN: Final = 1 << 15


def bin_of(value: float) -> int:
    """Return the bin of a finite value, from 0 to 65535. Values smaller than 2⁻¹⁰²⁶ share the bin of zero."""
    (bits,) = struct.unpack("<Q", struct.pack("<d", value))
    return int(bits >> _SHIFT)


def magnitude(number: int) -> int:
    """Return the bin of the absolute values of a bin."""
    return number & ~_SIGN


def is_negative(number: int) -> bool:
    """Whether a bin is one of negative values."""
    return bool(number & _SIGN)


def lower_edge(number: int) -> float:
    """Return the smallest value in a bin of magnitudes; for the bin behind the last one, infinity."""
    (value,) = struct.unpack("<d", struct.pack("<Q", number << _SHIFT))
    return float(value)
