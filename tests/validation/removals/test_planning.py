"""Removals in a plan and in its bank: which documents each run lacks, and that what is measured stays."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whence.errors import InvalidRequestError, MismatchError
from whence_backends.validation.bank import Bank, Measured
from whence_backends.validation.methods import RANDOM
from whence_backends.validation.plan import Plan, RunKind
from whence_backends.validation.plan_file import from_json, to_json
from whence_backends.validation.removals.planning import RemovalConfig, with_removals
from whence_backends.validation.removals.rankings import Rankings, ranked_documents, read_rankings

CONFIG = RemovalConfig(sizes=("30%", "1"), queries=2)
RANKINGS: Rankings = {
    ("EK-FAC", "q"): ["d3", "d1", "d9"],
    ("EK-FAC", "r"): ["d0", "d2", "d4"],
    ("BM25", "q"): ["d3", "d5", "d7"],
    ("BM25", "r"): ["d2", "d0", "d4"],
}


def lacking(plan: Plan) -> dict[tuple[str, str, int], list[str]]:
    return {
        (removal.query, removal.method, removal.count): [
            document for document, kept in zip(plan.documents, plan.documents_of[removal.name], strict=True) if not kept
        ]
        for removal in plan.removals
    }


def test_a_run_lacks_the_first_documents_of_a_ranking(plan: Plan):
    """Broken by: documents counted from the second; the last; those of another query or method; sizes of sequences."""
    planned = with_removals(plan, CONFIG, RANKINGS)
    documents = lacking(planned)
    assert documents["q", "EK-FAC", 1] == ["d3"]
    assert documents["q", "EK-FAC", 3] == ["d1", "d3", "d9"]
    assert documents["r", "BM25", 3] == ["d0", "d2", "d4"]
    assert {count for query, method, count in documents if method == RANDOM} == {1, 3}
    assert planned.runs[: len(plan.runs)] == plan.runs
    added = planned.runs[len(plan.runs) :]
    assert [run.number for run in added] == list(range(len(plan.runs), len(planned.runs)))
    assert {run.kind for run in added} == {RunKind.REMOVAL}
    assert {run.seed for run in added} == {plan.config.seed}
    assert [len(planned.ids(run)) for run in added[:2]] == [9, 7]


def test_the_same_documents_are_left_out_once(plan: Plan):
    """Broken by: a run for each method; documents compared in their order."""
    planned = with_removals(plan, CONFIG, RANKINGS)
    names = {(removal.query, removal.method, removal.count): removal.name for removal in planned.removals}
    assert names["q", "EK-FAC", 1] == names["q", "BM25", 1]
    assert names["r", "EK-FAC", 3] == names["r", "BM25", 3]
    assert names["r", "EK-FAC", 1] != names["r", "BM25", 1]
    removed = [run.name for run in planned.runs if run.kind is RunKind.REMOVAL]
    assert sorted(removed) == sorted(set(names.values()))


def test_random_documents_differ_between_queries_and_are_drawn_again_alike(plan: Plan):
    first, again = (lacking(with_removals(plan, CONFIG, RANKINGS)) for _ in range(2))
    assert first == again
    assert first["q", RANDOM, 3] != first["r", RANDOM, 3]
    other = lacking(with_removals(plan, replace(CONFIG, seed=1), RANKINGS))
    assert other["q", RANDOM, 3] != first["q", RANDOM, 3]


def test_some_of_the_queries_are_drawn(plan: Plan):
    many = {("EK-FAC", f"q{number}"): [f"d{number % 10}"] for number in range(40)}
    configs = [RemovalConfig(sizes=("1",), queries=8, seed=seed) for seed in (0, 0, 1)]
    drawn = [{removal.query for removal in with_removals(plan, config, many).removals} for config in configs]
    assert [len(queries) for queries in drawn] == [8, 8, 8]
    assert drawn[0] == drawn[1] != drawn[2]


def test_more_seeds_train_the_same_documents_again(plan: Plan):
    planned = with_removals(plan, replace(CONFIG, seeds=2), RANKINGS)
    seeds = [(run.name, run.seed) for run in planned.runs if run.kind is RunKind.REMOVAL]
    assert len(seeds) == len(set(seeds)) == 2 * len({name for name, _ in seeds})
    assert {seed for _, seed in seeds} == {plan.config.seed, plan.config.seed + 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": ("0",)}, "a removal of 0 of 10 documents"),
        ({"sizes": ("6",)}, "no more than half"),
        ({"sizes": ("-1%",)}, "a removal of -1% of 10"),
        ({"sizes": ("many",)}, "'many' is no size"),
        ({"sizes": ("nan%",)}, "'nan%' is no size"),
        ({"sizes": ("4",)}, "ranks 3 documents for the query 'q', and 4 are to be removed"),
        ({"queries": 0}, "give 1 or more"),
    ],
)
def test_removals_that_mean_nothing_are_refused(plan: Plan, change: dict, message: str):
    with pytest.raises(InvalidRequestError, match=message) as error:
        with_removals(plan, replace(CONFIG, **change), RANKINGS)
    assert error.value.reason == "INVALID_REMOVALS"


@pytest.mark.parametrize(
    ("rankings", "message"),
    [
        ({("A", "q"): ["d1"], ("B", "r"): ["d1"]}, "no ranking by B for the query 'q'"),
        ({("A", "q"): ["elsewhere"]}, "ranks 'elsewhere' for the query 'q', which is no document"),
    ],
)
def test_rankings_of_something_else_are_refused(plan: Plan, rankings: Rankings, message: str):
    with pytest.raises(InvalidRequestError, match=message):
        with_removals(plan, RemovalConfig(sizes=("1",)), rankings)


def test_a_plan_with_removals_survives_json_and_one_without_is_as_before(plan: Plan):
    planned = with_removals(plan, CONFIG, RANKINGS)
    again = from_json(json.loads(json.dumps(to_json(planned))))
    assert again.removals == planned.removals
    assert to_json(again) == to_json(planned)
    assert "removals" not in to_json(plan)
    assert to_json(planned.without_removals()) == to_json(plan)


def test_removals_are_added_to_a_bank_whose_runs_are_kept(plan: Plan, tmp_path: Path):
    """Broken by: a bank that is made anew; runs that are renumbered; a plan that cannot be asked for again."""
    bank, planned = Bank.create(tmp_path, plan, b""), with_removals(plan, CONFIG, RANKINGS)
    bank.add(plan.runs[0], Measured(queries=np.zeros(2), sequences=np.zeros(10)))
    extended = bank.extended(planned)
    assert [run.number for run in extended.missing()] == list(range(1, len(planned.runs)))
    last = planned.runs[-1]
    assert extended.documents_file(last).read_text().split() == planned.ids(last)
    assert Bank.open(tmp_path).plan.removals == planned.removals
    assert Bank.create(tmp_path, plan, b"").plan.removals == planned.removals
    assert extended.extended(planned) is extended
    with pytest.raises(MismatchError, match="another plan"):
        extended.extended(with_removals(plan, replace(CONFIG, seed=5), RANKINGS))
    with pytest.raises(MismatchError, match="another plan"):
        bank.extended(replace(planned, corpus_digest="blake3:other"))


def test_documents_are_ranked_by_the_sum_over_their_sequences():
    scores = np.array([1.0, 2.0, 2.0, -5.0, 0.0])
    assert ranked_documents(scores, ["a", "b", "a", "c", "d"]) == ["a", "b", "d", "c"]


def test_rankings_are_read_as_lines_or_as_answers(tmp_path: Path):
    file = tmp_path / "rankings.jsonl"
    hits = [{"document_id": "d2", "influence": 3.0}, {"document_id": "d1"}, {"document_id": "d2"}]
    lines = [{"query": "q", "method": "mine", "documents": ["d1", "d3"]}, {"query_id": "q", "positive": hits}]
    file.write_text("".join(json.dumps(line) + "\n\n" for line in lines))
    assert read_rankings(file) == {("mine", "q"): ["d1", "d3"], ("EK-FAC", "q"): ["d2", "d1"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no ranking"),
        ("{", r"rankings.jsonl:1 is no ranking"),
        ("[1]", "is no ranking"),
        ('{"query": "q"}', "is no ranking"),
        ('{"query": "q", "documents": "d1"}', "is no ranking"),
        ('{"query": "q", "documents": [1]}', "is no ranking"),
        ('{"query": "q", "documents": []}\n' * 2, ":2 ranks for the query 'q' by EK-FAC a second time"),
    ],
)
def test_what_is_no_ranking_is_refused(tmp_path: Path, content: str, message: str):
    (tmp_path / "rankings.jsonl").write_text(content)
    with pytest.raises(InvalidRequestError, match=message):
        read_rankings(tmp_path / "rankings.jsonl")


def test_a_file_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        read_rankings(tmp_path / "nowhere")
