"""The benchmark of solvers, tests/benchmarks/solvers.py: its algebra against dense matrices, and a tiny bank."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from validation.test_training import RECIPE, documents_and_queries
from whence_backends.contract import EngineConfig, TokenSequence
from whence_backends.engines import pytorch
from whence_backends.models.tracked import track
from whence_backends.validation.pbrf.batches import language_model, token_batches
from whence_backends.validation.pbrf.losses import CrossEntropy
from whence_backends.validation.pbrf.objective import Objective
from whence_backends.validation.pbrf.weights import FreeWeights
from whence_backends.validation.plan import PlanConfig
from whence_backends.validation.proxy import Recipe, make_model
from whence_backends.validation.proxy_bank import ProxyBank, prepare_proxy_bank
from whence_backends.validation.training import train_and_measure

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from solver_curvature import GaussNewton, SampledFisher, conjugate_gradients, residual
from solver_methods import Question, ekfac_of_matrices, fisher_rows, gauss_newton_rows, served
from solver_rows import Kept, Row
from solvers import Bench, packed, report, trained_again

SMALL = Recipe(layers=2, width=8, heads=2, feed_forward=6, vocabulary=300)
DAMPING = 1e-4


@pytest.fixture(scope="module")
def objective() -> Objective:
    """The curvature of a tiny language model in float64, on sequences of several lengths, by the code of pbrf."""
    torch.manual_seed(2)
    model = make_model(SMALL, 0).double().eval()
    weights = FreeWeights(track(model, "mlp"))
    rng = np.random.default_rng(1)
    sequences = [
        TokenSequence(token_ids=rng.integers(0, 300, length).astype(np.int32), weights=rng.integers(0, 3, length) / 2.0)
        for length in (5, 9, 7, 12)
    ]
    batches = token_batches(sequences, 24, torch.device("cpu"), torch.float64)
    damping = [DAMPING * (1 + index) for index in range(len(weights.specs))]
    made = Objective(language_model(model), CrossEntropy(), weights, batches, damping)
    made.model, made.batches = model, batches  # type: ignore[attr-defined]
    return made


@pytest.fixture(scope="module")
def gauss_newton(objective: Objective) -> GaussNewton:
    return GaussNewton(objective.model, objective.weights, objective.batches, at_once=3)  # type: ignore[attr-defined]


def dense(product: Callable[[Tensor], Tensor], objective: Objective) -> Tensor:
    return product(torch.eye(len(objective.damping), dtype=torch.float64))


def some_rows(count: int, objective: Objective) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(count, len(objective.damping), generator=generator, dtype=torch.float64)


def test_products_of_several_vectors_are_those_of_each(gauss_newton: GaussNewton, objective: Objective):
    vectors = some_rows(5, objective)
    zero = torch.zeros_like(vectors[0])
    want = torch.stack([objective.gauss_newton(zero, vector) for vector in vectors])
    torch.testing.assert_close(gauss_newton(vectors), want, rtol=1e-9, atol=1e-12)


def test_conjugate_gradients_find_the_dense_solution(gauss_newton: GaussNewton, objective: Objective):
    right = gauss_newton(some_rows(3, objective))
    H = dense(gauss_newton, objective) + torch.diag(objective.damping)
    want = torch.linalg.solve(H, right.T).T

    def product(vectors: Tensor) -> Tensor:
        return gauss_newton(vectors) + objective.damping * vectors

    *_, last = conjugate_gradients(product, right, lambda r: r / objective.damping, (1, 60))
    assert float((objective.damping * want - right).norm() / right.norm()) > 0.1, "the curvature matters"
    assert float((last.solutions - want).norm() / want.norm()) < 1e-6
    assert float(last.residual.max()) < 1e-6
    assert float(residual(product, last.solutions, right).max()) < 1e-6


def test_the_first_iterate_is_the_preconditioner_times_a_number(gauss_newton: GaussNewton, objective: Objective):
    right = some_rows(2, objective)
    (first,) = conjugate_gradients(gauss_newton, right, lambda r: r / objective.damping, (1,))
    ratio = first.solutions / (right / objective.damping)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))


def test_woodbury_is_the_dense_solution_at_each_damping(objective: Objective):
    right, fisher, damping = some_rows(2, objective), SampledFisher(some_rows(7, objective)), objective.damping * 1e3
    F, kernel = dense(fisher, objective), fisher.kernel(damping)
    for factor in (0.1, 10.0):
        want = torch.linalg.solve(F + factor * torch.diag(damping), right.T).T
        torch.testing.assert_close(fisher.solve(right, damping, kernel, factor), want, rtol=1e-8, atol=1e-10)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> ProxyBank:
    """A tiny bank with four halves."""
    folder = tmp_path_factory.mktemp("solvers")
    plan = PlanConfig(subsets=4, repeats=0, full_seeds=1)
    made = prepare_proxy_bank(*documents_and_queries(folder), folder, plan, RECIPE)
    train_and_measure(made.bank, made.trainer, made.measurement)
    return made


@pytest.fixture(scope="module")
def bench(proxy: ProxyBank, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench.open(proxy.bank.folder, tmp_path_factory.mktemp("work"), RECIPE)


@pytest.fixture(scope="module")
def question(bench: Bench) -> Question:
    return bench.asked()


def test_the_baseline_is_what_the_engine_serves(bench: Bench, question: Question, proxy: ProxyBank):
    config = EngineConfig(model=str(proxy.model), factors=bench.work / "factors-run-0000-1", device="cpu")
    engine = pytorch.create(config)
    prepared = engine.precondition(engine.query_gradients(question.subject.queries), 0.1)
    want = engine.score(prepared, bench.corpus.tokens_at(range(bench.corpus.sequences)))
    size = bench.corpus.sequences
    np.testing.assert_allclose(served(question).scores * size, want, rtol=1e-3, atol=1e-5 * np.abs(want).max())


def test_the_mean_of_the_sampled_fisher_is_the_gauss_newton_matrix(question: Question):
    """Its trace, from 400 draws, is within some percent."""
    from solver_methods import gauss_newton

    subject, everything = question.subject, question.sample("all")
    drawn = subject.pseudo_gradients(everything, 400).square().sum() / (400 * len(everything))
    exact = torch.trace(gauss_newton(question, "all")(torch.eye(len(subject.weights.start))))
    assert float(drawn / exact) == pytest.approx(1, abs=0.05)


def test_ekfac_of_matrices_has_the_curvature_in_its_basis(question: Question):
    rows = question.subject.pseudo_gradients(question.sample("all"), 2)
    first = ekfac_of_matrices(question, rows)[0]
    G = rows[:, : first.Lambda.numel()].view(-1, *first.Lambda.shape)
    total = G.square().sum()
    torch.testing.assert_close(first.Lambda.sum(), total, rtol=1e-4, atol=0)
    torch.testing.assert_close(first.Q_A.T @ first.Q_A, torch.eye(len(first.Q_A)), rtol=0, atol=1e-5)


def test_iterations_lower_the_residual(question: Question):
    rows = {row.name: row.residual for row in fisher_rows(question, "all")}
    assert rows["Fisher of all, damping 0.1, 30 iterations"] < rows["Fisher of all, damping 0.1, 2 iterations"]
    assert rows["Fisher of all, damping 1, solved"] < 1e-4
    exact = [row.residual for row in gauss_newton_rows(question, "all", 10.0, (1, 3, 10), lambda product: product)]
    assert exact == sorted(exact, reverse=True)


def test_the_model_that_is_trained_again_is_the_banks(bench: Bench, question: Question):
    again = trained_again(bench)
    assert again.difference < 1e-3
    assert len(again.checkpoints) == RECIPE.epochs
    v = packed(question, again)
    assert v.shape == question.Q[0].shape
    assert float(v.min()) >= 0
    assert float(v.max()) > 0


def test_the_tables_are_printed_and_kept(bench: Bench, capsys: pytest.CaptureFixture[str]):
    sections, shown = ("fisher", "gauss-newton", "checkpoints", "adam"), []
    for _ in range(2):
        report(bench, sections, ["a quarter:2:0.1"])
        shown.append([line for line in capsys.readouterr().out.splitlines() if not line.startswith("#")])
    assert shown[0] == shown[1]
    names = [line[:52].strip() for line in shown[0]]
    assert {"EK-FAC", "gradients over v of Adam", "epoch-01 alone"} <= set(names)


def test_a_section_that_is_kept_is_not_computed_again(tmp_path: Path):
    def compute() -> Iterator[Row]:
        yield Row(name="one", scores=np.ones((2, 3)), residual=0.5)

    kept = Kept(tmp_path)
    kept.section("some", compute)
    (row,) = kept.section("some", lambda: pytest.fail("computed again"))
    assert (row.name, row.residual, row.scores.shape) == ("one", 0.5, (2, 3))
