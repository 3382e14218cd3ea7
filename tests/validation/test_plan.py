"""The plan of a validation, and the bank that it fills."""

from __future__ import annotations

import json

import numpy as np
import pytest

from whence.errors import CorruptArtefactError, InvalidRequestError, MismatchError, NotFoundError
from whence_backends.validation.bank import Bank, Measured
from whence_backends.validation.plan import Plan, PlanConfig, RunKind, make_plan
from whence_backends.validation.plan_file import from_json, to_json


def said(run: int, sequences: int = 10) -> Measured:
    return Measured(queries=np.array([run, -run]) / 3, sequences=np.arange(sequences) - float(run))


def test_a_plan_has_the_full_corpus_halves_repeats_and_left_out_sources(plan: Plan):
    kinds = [(run.kind.value, run.name, run.seed) for run in plan.runs]
    assert kinds == [
        ("full", "full", 3), ("full", "full", 4),
        ("subset", "subset-0", 3), ("subset", "subset-1", 3), ("subset", "subset-2", 3), ("subset", "subset-3", 3),
        ("subset", "subset-0", 4), ("subset", "subset-1", 4),
        ("without", "without-b", 3),
    ]  # fmt: skip
    assert [len(plan.ids(run)) for run in plan.runs] == [10, 10, 5, 5, 5, 5, 5, 5, 7]
    assert plan.ids(plan.runs[-1]) == [f"d{number}" for number in range(7)]


def test_each_document_is_in_half_of_many_halves():
    plan = make_plan(
        PlanConfig(subsets=200, repeats=0),
        documents=[str(n) for n in range(40)], sources=["a"] * 40, corpus_digest="", queries_digest="",
    )  # fmt: skip
    counts = sum(mask.astype(int) for name, mask in plan.documents_of.items() if name != "full")
    assert counts.min() > 65
    assert counts.max() < 135


def test_a_plan_survives_json(plan: Plan):
    again = from_json(json.loads(json.dumps(to_json(plan))))
    assert to_json(again) == to_json(plan)
    assert all((again.documents_of[name] == mask).all() for name, mask in plan.documents_of.items())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (PlanConfig(alpha=1.0), "alpha is 1"),
        (PlanConfig(alpha=0.01), "a subset of 0 of 10"),
        (PlanConfig(subsets=2, repeats=3), "3 repeats of 2"),
        (PlanConfig(without=("z",)), "no document is of the source 'z'; the corpus has a, b"),
    ],
)
def test_a_plan_that_says_nothing_is_refused(config: PlanConfig, message: str):
    with pytest.raises(InvalidRequestError, match=message):
        make_plan(
            config, documents=[str(n) for n in range(10)], sources=["a"] * 5 + ["b"] * 5,
            corpus_digest="", queries_digest="",
        )  # fmt: skip


@pytest.mark.parametrize(
    "damage", [{"format": "x"}, {"runs": [{"number": 0}]}, {"documents_of": {}}, {"documents": []}]
)
def test_what_is_no_plan_is_refused(plan: Plan, damage: dict):
    with pytest.raises(InvalidRequestError, match="no plan of a validation"):
        from_json({**to_json(plan), **damage})


def test_a_bank_is_filled_run_by_run(plan: Plan, tmp_path):
    bank = Bank.create(tmp_path, plan, b"")
    assert bank.documents_file(plan.runs[8]).read_text().split() == plan.ids(plan.runs[8])
    for run in plan.runs[::-2]:
        bank.add(run, said(run.number))
    again = Bank.open(tmp_path)
    assert [run.number for run in again.missing()] == [1, 3, 5, 7]
    outcomes = again.outcomes([f"d{number}" for number in range(10)])
    assert [run.number for run in outcomes.runs] == [0, 2, 4, 6, 8]
    np.testing.assert_allclose(outcomes.queries[:, 0], [0, 0.6667, 1.3333, 2, 2.6667])
    assert outcomes.members.sum(axis=1).tolist() == [10, 5, 5, 5, 7]
    assert [run.name for run in outcomes.of(RunKind.SUBSET).averaged().runs] == ["subset-0", "subset-2"]
    np.testing.assert_allclose(outcomes.averaged().queries[1, 0], (0.6667 + 2) / 2)
    assert outcomes.pairs() == [(1, 3)]


def test_sequences_of_one_document_share_its_runs(plan: Plan, tmp_path):
    bank = Bank.create(tmp_path, plan, b"")
    bank.add(plan.runs[8], said(8, sequences=3))
    assert bank.outcomes(["d1", "d9", "d9"]).members.tolist() == [[True, False, False]]


def test_a_folder_keeps_its_plan(plan: Plan, tmp_path):
    Bank.create(tmp_path, plan, b"")
    assert Bank.create(tmp_path, plan, b"").missing() == list(plan.runs)
    other = from_json({**to_json(plan), "corpus_digest": "blake3:other"})
    with pytest.raises(MismatchError, match="another plan"):
        Bank.create(tmp_path, other, b"")


def test_what_a_bank_lacks_is_named(plan: Plan, tmp_path):
    with pytest.raises(NotFoundError, match="whence validate plan"):
        Bank.open(tmp_path)
    bank = Bank.create(tmp_path, plan, b"")
    with pytest.raises(NotFoundError, match="no measured run"):
        bank.outcomes([])
    with pytest.raises(InvalidRequestError, match="no run 9; its runs are 0 to 8"):
        bank.run(9)
    with pytest.raises(InvalidRequestError, match="1 of the 2 queries no finite"):
        bank.add(plan.runs[0], Measured(queries=np.array([0, np.nan]), sequences=np.zeros(10)))
    bank.add(plan.runs[0], said(0))
    with pytest.raises(MismatchError, match="10 training sequences, the corpus 9"):
        bank.outcomes(["d0"] * 9)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"name":"full","seed":9,"queries":[],"sequences":[]}'])
def test_a_damaged_run_is_told(plan: Plan, tmp_path, content: bytes):
    bank = Bank.create(tmp_path, plan, b"")
    bank.add(plan.runs[0], said(0))
    next((tmp_path / "runs").iterdir()).write_bytes(content)
    with pytest.raises(CorruptArtefactError, match="damaged"):
        bank.outcomes([f"d{number}" for number in range(10)])


def test_other_queries_than_the_plans_are_told(plan: Plan, tmp_path):
    bank = Bank.create(tmp_path, plan, b"")
    bank.queries_file.write_text("{}\n")
    with pytest.raises(CorruptArtefactError, match="not the file"):
        Bank.open(tmp_path)
