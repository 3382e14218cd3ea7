"""Arrays and metadata as messages."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from whence.tensors import unpack
from whence_backends.worker.requests import wire


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i4", "<i8", ">f8", ">i4"])
def test_an_array_arrives_as_it_was(dtype: str):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    message = wire.tensor(array.T)
    assert list(message.shape) == [3, 2]
    assert unpack(message) == [0, 3, 1, 4, 2, 5]


def test_metadata_of_any_kind_becomes_a_struct():
    message = wire.struct(
        {"s": "x", "n": None, "b": True, "i": 7, "l": [1, {"k": 2.5}], "huge": 2**60, "nan": float("nan")}
        | {"date": dt.date(2024, 1, 2)}
    )
    assert (message["s"], message["n"], message["b"], message["i"]) == ("x", None, True, 7)
    assert message["l"][1]["k"] == 2.5
    assert (message["huge"], message["nan"], message["date"]) == (str(2**60), "nan", "2024-01-02")
