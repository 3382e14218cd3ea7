"""Correlations of rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def ranks(rows: FloatArray) -> FloatArray:
    """Return the ranks within each row, from 1, equal values at the mean of their places. Shapes: [K, n] → [K, n]."""
    order = np.argsort(rows, axis=1, kind="stable")
    sorted_rows = np.take_along_axis(rows, order, axis=1)
    places = np.broadcast_to(np.arange(rows.shape[1]), rows.shape)
    begins = np.ones(rows.shape, bool)
    begins[:, 1:] = sorted_rows[:, 1:] != sorted_rows[:, :-1]
    ends = np.ones(rows.shape, bool)
    ends[:, :-1] = begins[:, 1:]
    first = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, places, rows.shape[1])[:, ::-1], axis=1)[:, ::-1]
    out = np.empty(rows.shape, np.float64)
    np.put_along_axis(out, order, (first + last) / 2 + 1, axis=1)
    return out


def pearson(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return the correlation of each row with its counterpart, 0 where a row is constant. Shapes: [K, n] twice → [K].

    A constant row tells nothing apart, as an independent one would not; :func:`is_constant` says which they are.
    """
    left, right = (rows - rows.mean(axis=1, keepdims=True) for rows in (left, right))
    size = np.sqrt((left * left).sum(axis=1) * (right * right).sum(axis=1))
    correlations: FloatArray = np.divide((left * right).sum(axis=1), size, out=np.zeros(len(left)), where=size > 0)
    return correlations


def spearman(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return the rank correlation of each row with its counterpart, as :func:`pearson` does that of values."""
    return pearson(ranks(left), ranks(right))


def spearman_without(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return the rank correlation of each row without each of its columns. Shapes: [K, n] twice → [n, K].

    Nothing is sorted again: a value that is taken away lowers the ranks above it by 1, and those of its equals by 1/2.
    """
    ranked = [(rows, ranks(rows)) for rows in (left, right)]
    out = np.empty(left.shape[::-1])
    for column in range(left.shape[1]):
        out[column] = pearson(*(_ranks_without(rows, places, column) for rows, places in ranked))
    return out


def _ranks_without(rows: FloatArray, places: FloatArray, column: int) -> FloatArray:
    taken = rows[:, column : column + 1]
    lowered: FloatArray = places - (rows > taken) - (rows == taken) / 2
    return np.delete(lowered, column, axis=1)


def is_constant(rows: FloatArray) -> NDArray[np.bool_]:
    """Return a mask of the rows whose values are all the same. Shapes: [K, n] → [K]."""
    constant: NDArray[np.bool_] = (rows == rows[:, :1]).all(axis=1)
    return constant
