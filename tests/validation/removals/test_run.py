"""Removals that are really trained, and planned as a user plans them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from validation.test_command import whence
from validation.test_training import RECIPE, documents_and_queries
from whence.errors import InvalidRequestError
from whence_backends.corpus import Corpus
from whence_backends.fit import FitConfig, fit
from whence_backends.validation.bank import Bank
from whence_backends.validation.methods import RANDOM
from whence_backends.validation.plan import PlanConfig, RunKind
from whence_backends.validation.proxy import Recipe
from whence_backends.validation.proxy_bank import ProxyBank, prepare_proxy_bank
from whence_backends.validation.queries import read_queries
from whence_backends.validation.removals.planning import RemovalConfig, with_removals
from whence_backends.validation.removals.scored import score_rankings
from whence_backends.validation.scoring import ScoringConfig
from whence_backends.validation.training import train_and_measure

WORDS = "salt moth kiln vow quay fjord lynx gnome zinc waltz dwarf nymph jumbo crypt".split()  # noqa: SIM905


def memories(folder: Path) -> tuple[Path, Path]:
    """Return documents of words in orders of their own, and four of them as queries: only they tell their order."""
    texts = [" ".join(random.Random(number).sample(WORDS, len(WORDS))) for number in range(14)]
    rows = [{"id": f"d{number}", "source": "a", "text": text} for number, text in enumerate(texts)]
    (folder / "documents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [{"id": f"q{number}", "prompt": "", "completion": texts[number]} for number in (1, 5, 9, 13)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    return folder / "documents.jsonl", folder / "queries.jsonl"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> ProxyBank:
    """A bank of tiny proxies, of which the first is trained, with its factors."""
    folder = tmp_path_factory.mktemp("removals")
    plan = PlanConfig(subsets=2, repeats=0, full_seeds=2)
    made = prepare_proxy_bank(*documents_and_queries(folder), folder / "bank", plan, RECIPE)
    train_and_measure(made.bank, made.trainer, made.measurement, runs=made.bank.plan.runs[:1])
    fit(FitConfig(model=str(made.model), out=folder / "factors", device="cpu"), Corpus.open(made.corpus))
    return made


def planned(proxy: ProxyBank, bank: Path, *arguments: object) -> Bank:
    options = ("--corpus", proxy.corpus, "--queries", proxy.bank.queries_file, "--out", bank, "--subsets", 2)
    done = whence("plan", *options, *arguments)
    assert done.returncode == 0, done.stderr
    assert ("without the first documents" in " ".join(done.stdout.split())) == ("--removals" in arguments)
    return Bank.open(bank)


def test_what_is_learned_from_one_document_is_lost_without_it(tmp_path: Path):
    """Broken by: a model that is trained on what it should lack; another query's documents."""
    recipe = Recipe(layers=1, width=32, heads=2, feed_forward=64, vocabulary=400, epochs=40)
    made = prepare_proxy_bank(*memories(tmp_path), tmp_path / "bank", PlanConfig(subsets=2, repeats=0), recipe)
    rankings = {("own", f"q{number}"): [f"d{number}"] for number in (1, 5, 9, 13)}
    bank = made.bank.extended(with_removals(made.bank.plan, RemovalConfig(sizes=("1",)), rankings))
    runs = [run for run in bank.plan.runs if run.kind is not RunKind.SUBSET]
    train_and_measure(bank, made.trainer, made.measurement, runs=runs)
    said = {run.name: bank.measured(run).queries for run in runs}
    places = {query.id: place for place, query in enumerate(read_queries(bank.queries_file))}
    lost = {
        (removal.method, removal.query): float(
            said["full"][places[removal.query]] - said[removal.name][places[removal.query]]
        )
        for removal in bank.plan.removals
    }
    own = sum(value for (method, _), value in lost.items() if method == "own") / len(rankings)
    random = sum(value for (method, _), value in lost.items() if method == RANDOM) / len(rankings)
    assert own > random + 1


def test_removals_are_planned_from_a_model_and_its_factors(proxy: ProxyBank, tmp_path: Path):
    bank = tmp_path / "bank"
    before = planned(proxy, bank)
    arguments = ("--removals", 1, "--removals", "25%", "--removal-method", "BM25", "--removal-method", "EK-FAC")
    factors = proxy.bank.folder.parent / "factors"
    after = planned(proxy, bank, *arguments, "--model", proxy.model, "--factors", factors, "--device", "cpu")
    assert after.plan.runs[: len(before.plan.runs)] == before.plan.runs
    assert {(removal.method, removal.count) for removal in after.plan.removals} == {
        (method, count) for method in ("BM25", "EK-FAC", "random") for count in (1, 3)
    }
    first = next(removal for removal in after.plan.removals if removal.method == "BM25" and removal.query == "2")
    gone = set(after.plan.documents) - set(
        after.plan.ids(next(run for run in after.plan.runs if run.name == first.name))
    )
    assert gone <= {"d4", "d5", "d6", "d7"}, "the query of words: the old mill"
    again = planned(proxy, bank, *arguments, "--model", proxy.model, "--factors", factors, "--device", "cpu")
    assert again.plan.removals == after.plan.removals


def test_removals_are_planned_from_a_file(proxy: ProxyBank, tmp_path: Path):
    file = tmp_path / "rankings.jsonl"
    lines = [{"query": query, "method": "mine", "documents": ["d3", "d2"]} for query in ("1", "2")]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    bank = planned(proxy, tmp_path / "bank", "--removals", 2, "--rankings", file)
    run = next(run for run in bank.plan.runs if run.kind is RunKind.REMOVAL)
    assert set(bank.plan.documents) - set(bank.documents_file(run).read_text().split()) == {"d2", "d3"}


@pytest.mark.parametrize("arguments", [(), ("--model", "m"), ("--model", "m", "--factors", "f", "--rankings", "r")])
def test_removals_of_nothing_known_are_wrong_usage(proxy: ProxyBank, tmp_path: Path, arguments: tuple[str, ...]):
    done = whence(
        "plan",
        "--corpus",
        proxy.corpus,
        "--queries",
        proxy.bank.queries_file,
        "--out",
        tmp_path / "bank",
        "--removals",
        1,
        *arguments,
    )
    assert done.returncode == 2
    assert "--rankings" in done.stderr


def test_a_method_that_ranks_nothing_is_refused(proxy: ProxyBank, tmp_path: Path):
    scoring = ScoringConfig(model=str(proxy.model), factors=tmp_path, corpus=proxy.corpus, work=tmp_path)
    with pytest.raises(InvalidRequestError, match=r"'tea leaves' is no method .* known are EK-FAC, signal, EK-FAC"):
        score_rankings(scoring, [], ["tea leaves"])
