"""Errors pass between processes as they are."""

from __future__ import annotations

import pickle

import pytest

from whence import errors


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidRequestError("a", reason="R", field="f", run=3),
        errors.OverloadedError("b", reason="R", retry_after_s=2.5),
        errors.NotFoundError("c", reason="R", path="p"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_pickling(error: errors.WhenceError):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))
