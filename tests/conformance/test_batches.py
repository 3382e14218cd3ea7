"""Batches of more queries than fit whole: a bounded rank over the wire, its cost told, on both real engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from conformance.subjects import CASES, Case, InProcess
from conformance.wire import as_query, serving, write_corpus
from whence import Client, InvalidRequestError
from whence_backends.contract import LowRankEngine
from whence_backends.worker.config import WorkerSettings
from whence_backends.worker.scoring.query_memory import QueryMemory

RANK, FITTING = 2, 3


@dataclass(frozen=True, kw_only=True)
class Served:
    subject: InProcess
    client: Client


@pytest.fixture(scope="module", params=["pytorch", "ort"])
def served(
    request: pytest.FixtureRequest,
    in_process: Callable[[Case], InProcess],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """A service whose worker has room for three whole queries."""
    [case] = [case for case in CASES if str(case) == f"{request.param}-gpt2-float64"]
    folder, subject = tmp_path_factory.mktemp("batches"), in_process(case)
    whole = QueryMemory(subject.engine, limit_bytes=0).bytes_per_query()
    settings = WorkerSettings(
        model=subject.config.model, factors=subject.factors.folder, engine=case.engine, precision=case.precision,
        corpus=write_corpus(subject.items, folder, Path(subject.config.model)), device="cpu", batch_tokens=64,
        query_memory_bytes=FITTING * whole,
    )  # fmt: skip
    with serving(settings) as address, Client(address, timeout_s=60) as client:
        yield Served(subject=subject, client=client)


def test_a_batch_that_does_not_fit_whole_is_answered_in_a_bounded_rank(served: Served) -> None:
    """Broken by: a rank that the scan has and the pass that splits the hits has not; another query's error."""
    engine, items = served.subject.engine, served.subject.items
    assert isinstance(engine, LowRankEngine)
    asked = [as_query(item) for item in items[: FITTING + 1]]
    answers = served.client.attribute_batch(asked, top_k=24, direction="both", query_rank=RANK, include_layers=True)
    prepared, errors = engine.precondition_low_rank(engine.query_gradients(items[: FITTING + 1]), 0.1, RANK)
    expected = engine.score(prepared, items) / served.subject.factors.card.training_set_size
    for answer, by_item, error in zip(answers, expected, errors, strict=True):
        assert answer.truncation_error == pytest.approx(error, rel=1e-5)
        assert error > 0
        found = {hit.sequence_id: hit.influence for hit in answer}
        scale = np.abs(by_item).max()
        assert found == pytest.approx({f"{n}#0": x for n, x in enumerate(by_item)}, rel=1e-5, abs=1e-5 * scale)
        assert all(sum(hit.layer_influence.values()) == pytest.approx(hit.influence) for hit in answer)
    assert [warning.code for warning in answers[0].warnings if warning.code == "QUERIES_OF_BOUNDED_RANK"]


def test_a_batch_that_fits_is_whole(served: Served) -> None:
    asked = [as_query(item) for item in served.subject.items[:FITTING]]
    answers = served.client.attribute_batch(asked, top_k=3)
    assert [answer.truncation_error for answer in answers] == [0.0] * FITTING
    alone = served.client.attribute(asked[1], top_k=3)
    assert [hit.influence for hit in answers[1]] == pytest.approx([hit.influence for hit in alone], rel=1e-6)


def test_more_than_fit_in_any_rank_are_refused_before_any_work(served: Served) -> None:
    """The layers are so small that rank 32 is no smaller."""
    asked = [as_query(item) for item in served.subject.items[: FITTING + 1]]
    with pytest.raises(InvalidRequestError, match=f"holds {FITTING} in rank 32") as caught:
        served.client.attribute_batch(asked)
    assert (caught.value.reason, caught.value.field) == ("TOO_MANY_QUERIES", "queries")
    limits = served.client.model().limits
    assert (limits.max_queries, limits.max_batch_queries) == (FITTING, FITTING)
