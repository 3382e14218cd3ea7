"""The codes: what they stand for, and what they cannot."""

from __future__ import annotations

import numpy as np
import pytest

from whence.errors import InternalError, InvalidRequestError
from whence_backends.index.codes import decode, encode, require_bits
from whence_backends.index.plan import Segment

SEGMENTS = (Segment(layers=("a",), start=0, width=64), Segment(layers=("b",), start=64, width=128))


def values(rows=5, seed=0):
    scale = np.repeat([1.0, 100.0], [64, 128])
    return (np.random.default_rng(seed).normal(size=(rows, 192)) * scale).astype(np.float32)


@pytest.mark.parametrize(("bits", "error"), [(1, 0.8), (8, 0.012), (16, 5e-4)])
def test_more_bits_lose_less(bits: int, error: float) -> None:
    """Broken by: one scale for both segments, which differ by a hundred."""
    rows = values()
    decoded = decode(*encode(rows, SEGMENTS, bits), SEGMENTS)
    for segment in SEGMENTS:
        part, want = decoded[:, segment.start : segment.stop], rows[:, segment.start : segment.stop]
        assert np.linalg.norm(part - want) / np.linalg.norm(want) < error


def test_the_first_value_is_the_lowest_bit_of_the_first_byte() -> None:
    row = -np.ones((1, 192), np.float32)
    row[0, [0, 9]] = 1
    assert encode(row, SEGMENTS, 1).codes[0, :3].tolist() == [1, 2, 0]


def test_a_row_has_itself_as_its_product_with_its_code() -> None:
    """Broken by: ‖x‖₁/k as the scale, which makes every estimate too small."""
    rows = values().astype(np.float64)
    decoded = decode(*encode(rows, SEGMENTS, 1), SEGMENTS)
    for segment in SEGMENTS:
        part, want = decoded[:, segment.start : segment.stop], rows[:, segment.start : segment.stop]
        np.testing.assert_allclose((part * want).sum(axis=1), np.square(want).sum(axis=1), rtol=1e-6)


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_a_row_of_nothing_stands_for_nothing(bits: int) -> None:
    encoded = encode(np.zeros((2, 192), np.float32), SEGMENTS, bits)
    assert np.all(decode(*encoded, SEGMENTS) == 0)


def test_what_is_not_finite_has_no_code() -> None:
    rows = values()
    rows[2, 7] = np.inf
    with pytest.raises(InternalError, match="not finite") as caught:
        encode(rows, SEGMENTS, 1)
    assert caught.value.reason == "NON_FINITE_SKETCH"


def test_other_bits_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="expected 1, 8 or 16"):
        require_bits(4)
