"""The format of cached gradients: nothing is lost, and no wrong byte goes unnoticed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from whence.errors import InternalError
from whence_backends.contract import LayerGradient, QueryGradient
from whence_backends.worker.gradients.codec import Undecodable, decode, encode

MATRICES = st.sampled_from([np.float32, np.float64]).flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=2, max_dims=2, max_side=4))
)
LAYERS = st.lists(st.builds(lambda left, right: LayerGradient(left=left, right=right), MATRICES, MATRICES), max_size=3)
FLOATS = st.floats(allow_nan=False)
GRADIENTS = st.builds(
    lambda layers, log_likelihood, error: QueryGradient(
        layers=tuple(layers), log_likelihood=log_likelihood, truncation_error=error
    ),
    LAYERS,
    FLOATS,
    FLOATS,
)


def example(value: float = 0.0) -> QueryGradient:
    left, right = np.full((2, 3), value, np.float32), np.arange(4, dtype=np.float64).reshape(2, 2)
    return QueryGradient(layers=(LayerGradient(left=left, right=right),), log_likelihood=-1.5, truncation_error=0.1)


def arrays_of(gradient: QueryGradient) -> list[np.ndarray]:
    return [array for layer in gradient.layers for array in (layer.left, layer.right)]


@given(GRADIENTS, st.binary(max_size=40))
def test_decoding_gives_back_every_bit(gradient: QueryGradient, material: bytes):
    decoded = decode(encode(gradient, material), material)
    assert isinstance(decoded, QueryGradient)
    assert (decoded.log_likelihood, decoded.truncation_error) == (
        gradient.log_likelihood,
        gradient.truncation_error,
    )
    for actual, expected in zip(arrays_of(decoded), arrays_of(gradient), strict=True):
        assert (actual.dtype, actual.shape, actual.tobytes()) == (
            expected.dtype,
            expected.shape,
            expected.tobytes(),
        )


def test_decoded_arrays_may_be_written_to_like_fresh_ones():
    decoded = decode(encode(example(), b"key"), b"key")
    assert isinstance(decoded, QueryGradient)
    assert all(array.flags.writeable and array.flags.aligned for array in arrays_of(decoded))


def test_arrays_in_any_memory_order_are_stored_row_by_row():
    turned = QueryGradient(
        layers=(LayerGradient(left=np.arange(6.0).reshape(2, 3).T, right=np.zeros((3, 1))),),
        log_likelihood=0.0,
    )
    decoded = decode(encode(turned, b""), b"")
    assert isinstance(decoded, QueryGradient)
    assert np.array_equal(decoded.layers[0].left, turned.layers[0].left)


def test_every_single_wrong_byte_is_recognised():
    value = encode(example(), b"key material")
    for position in range(len(value)):
        wrong = bytearray(value)
        wrong[position] ^= 0x10
        assert isinstance(decode(bytes(wrong), b"key material"), Undecodable), position


def test_every_truncation_and_any_addition_is_recognised():
    value = encode(example(), b"key")
    assert all(isinstance(decode(value[:length], b"key"), Undecodable) for length in range(len(value)))
    assert isinstance(decode(value + b"\0", b"key"), Undecodable)


@given(st.binary(max_size=200))
def test_garbage_is_recognised(data: bytes):
    assert isinstance(decode(data, b"key"), Undecodable)


def test_the_gradient_of_another_query_is_recognised():
    other = decode(encode(example(), b"the other query"), b"this query")
    assert isinstance(other, Undecodable)
    assert "another query" in other.why


def test_a_gradient_of_a_type_that_cannot_be_stored_is_an_error_of_the_engine():
    half = LayerGradient(left=np.zeros((1, 1), np.float16), right=np.zeros((1, 1), np.float16))
    with pytest.raises(InternalError, match="float16"):
        encode(QueryGradient(layers=(half,), log_likelihood=0.0), b"")
