"""The fake engine is an oracle: its scores are the same to the last bit, whatever else is in the call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import data
import tiny_models
from whence_backends.contract import Detail, EngineConfig, TokenSequence
from whence_backends.engines import load_engine
from whence_backends.engines.fake import FakeModel, fit_fake


def sequences() -> list[TokenSequence]:
    """Return sequences of 2 to 90 tokens."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 90, 40)
    return [
        TokenSequence(
            token_ids=rng.integers(0, tiny_models.VOCABULARY, length).astype(np.int32),
            weights=np.r_[0.0, np.ones(length - 1)],
        )
        for length in lengths
    ]


@pytest.mark.parametrize("detail", [Detail.TOTAL, Detail.LAYERS])
def test_a_score_does_not_depend_on_the_batch_by_a_bit(tmp_path: Path, detail: Detail) -> None:
    """Broken by: a sum over tokens that includes the padding, whose length decides the order of the addition."""
    FakeModel.random(tiny_models.VOCABULARY).save(tmp_path / "model")
    fit_fake(tmp_path / "model", data.InMemory(data.sequences(8)), tmp_path / "factors")
    engine = load_engine("fake", EngineConfig(model=str(tmp_path / "model"), factors=tmp_path / "factors"))
    items = sequences()
    prepared = engine.precondition(engine.query_gradients(data.sequences(3)), 0.1)
    together = engine.score(prepared, items, detail)
    for place, item in enumerate(items):
        np.testing.assert_array_equal(engine.score(prepared, [item], detail)[:, 0], together[:, place])
