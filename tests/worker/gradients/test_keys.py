"""Keys differ wherever a gradient could."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from whence_backends.contract import TokenSequence
from whence_backends.worker.gradients.keys import GradientNamer


def tokens(ids: list[int], weights: list[float]) -> TokenSequence:
    return TokenSequence(token_ids=np.array(ids, np.int32), weights=np.array(weights, np.float32))


def query_key(*, tokens: TokenSequence, **named: Any) -> str:
    return GradientNamer(**named).name(tokens).key


BASE: dict[str, Any] = {
    "model_digest": "blake3:aa",
    "factors_digest": "blake3:bb",
    "measurement": "M",
    "tokens": tokens([1, 2, 3], [0, 0, 1]),
    "precision": "float32",
    "query_rank": None,
}


@pytest.mark.parametrize(
    "change",
    [
        {"model_digest": "blake3:ab"},
        {"factors_digest": "blake3:bc"},
        {"measurement": "N"},
        {"tokens": tokens([1, 2, 4], [0, 0, 1])},
        {"tokens": tokens([1, 2, 3], [0, 1, 1])},
        {"tokens": tokens([1, 2, 3, 0], [0, 0, 1, 0])},
        {"precision": "float64"},
        {"query_rank": 8},
        {"model_digest": "blake3:aab", "factors_digest": "lake3:bb"},
    ],
)
def test_a_change_of_anything_changes_the_key(change: dict[str, Any]):
    assert query_key(**{**BASE, **change}) != query_key(**BASE)


def test_the_key_does_not_depend_on_how_numbers_are_held_in_memory():
    wide = TokenSequence(
        token_ids=np.array([1, 2, 3], np.int64).astype(np.int32)[::-1][::-1],
        weights=np.array([0, 0, 1], np.float64),
    )
    assert query_key(**{**BASE, "tokens": wide}) == query_key(**BASE)


def test_the_key_is_the_same_in_every_release():
    assert query_key(**BASE) == "wq3:f2027970879dbc383599be489e65f8438db1491331e4a589747beb678bf5e1cd"
