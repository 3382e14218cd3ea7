"""Tensors survive the wire, bit for bit."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence import tensors
from whence.v1 import tensor_pb2

SHAPES = st.lists(st.integers(0, 4), max_size=3)
INT32 = tensor_pb2.DATA_TYPE_INT32
INT64 = tensor_pb2.DATA_TYPE_INT64
FLOAT32 = tensor_pb2.DATA_TYPE_FLOAT32


def bits(values: list[float]) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


@st.composite
def tensor_of(draw, elements):
    shape = draw(SHAPES)
    count = math.prod(shape)
    return shape, draw(st.lists(elements, min_size=count, max_size=count))


@given(tensor_of(st.floats()))
def test_float64_comes_back_bit_for_bit(given_tensor):
    shape, values = given_tensor
    sent = tensor_pb2.Tensor.FromString(tensors.pack(values, shape).SerializeToString())
    assert bits(tensors.unpack(sent)) == bits(values)


@given(tensor_of(st.floats(width=32)))
def test_float32_comes_back_bit_for_bit(given_tensor):
    shape, values = given_tensor
    assert bits(tensors.unpack(tensors.pack(values, shape, FLOAT32))) == bits(values)


@given(st.sampled_from([(INT32, 31), (INT64, 63)]), st.data())
def test_integers_come_back_up_to_their_width(kind, data):
    data_type, width = kind
    shape, values = data.draw(tensor_of(st.integers(-(2**width), 2**width - 1)))
    assert tensors.unpack(tensors.pack(values, shape, data_type)) == values


def test_the_bytes_are_those_of_a_little_endian_row_major_array():
    array = np.arange(6, dtype="<f8").reshape(2, 3)
    packed = tensors.pack(array.ravel().tolist(), array.shape)
    assert packed.data == array.tobytes()
    assert tensors.rows(packed) == array.tolist()


def test_an_absent_tensor_has_no_values():
    assert tensors.unpack(tensor_pb2.Tensor()) == []
    assert tensors.rows(tensor_pb2.Tensor()) == []


def test_a_wrong_number_of_values_is_refused():
    with pytest.raises(ValueError, match=r"3 values for the shape \(2, 2\)"):
        tensors.pack([1, 2, 3], [2, 2])


@given(st.binary(max_size=40), SHAPES)
def test_bytes_that_do_not_fill_the_shape_are_refused(data, shape):
    tensor = tensor_pb2.Tensor(data_type=FLOAT32, shape=shape, data=data)
    if len(data) == 4 * math.prod(shape):
        assert len(tensors.unpack(tensor)) == math.prod(shape)
    else:
        with pytest.raises(ValueError, match="bytes for the shape"):
            tensors.unpack(tensor)


def test_an_unknown_type_is_refused():
    with pytest.raises(ValueError, match="unknown tensor data type"):
        tensors.unpack(tensor_pb2.Tensor(shape=[1], data=b"1234"))
