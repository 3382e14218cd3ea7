"""What the tests of validation share."""

from __future__ import annotations

import pytest

from whence_backends.validation.plan import Plan, PlanConfig, make_plan


@pytest.fixture
def plan() -> Plan:
    """A plan of ten documents of two sources: 4 halves, 2 of them repeated, one source left out."""
    return make_plan(
        PlanConfig(subsets=4, repeats=2, full_seeds=2, without=("b",), without_seeds=1, seed=3),
        documents=[f"d{number}" for number in range(10)],
        sources=["a"] * 7 + ["b"] * 3,
        corpus_digest="blake3:c",
        queries_digest="blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    )
