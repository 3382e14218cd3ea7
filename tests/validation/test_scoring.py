"""Scoring a corpus for the methods: the code that serves, on a tiny proxy."""

from __future__ import annotations

import numpy as np
import pytest

from validation.test_training import PLAN, RECIPE, documents_and_queries
from whence_backends.contract import EngineConfig
from whence_backends.corpus import Corpus
from whence_backends.ekfac.factors import Factors
from whence_backends.engines import pytorch
from whence_backends.fit import FitConfig, fit
from whence_backends.validation.methods import Scores
from whence_backends.validation.proxy_bank import ProxyBank, prepare_proxy_bank
from whence_backends.validation.queries import read_queries
from whence_backends.validation.scores.norms import gradient_norms
from whence_backends.validation.scoring import ScoringConfig, score_all
from whence_backends.validation.training import train_and_measure


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> ProxyBank:
    folder = tmp_path_factory.mktemp("scoring")
    made = prepare_proxy_bank(*documents_and_queries(folder), folder / "bank", PLAN, RECIPE)
    train_and_measure(made.bank, made.trainer, made.measurement, runs=made.bank.plan.runs[:1])
    return made


@pytest.fixture(scope="module")
def factors(proxy: ProxyBank) -> Factors:
    config = FitConfig(model=str(proxy.model), out=proxy.bank.folder / "factors", device="cpu")
    return fit(config, Corpus.open(proxy.corpus))


@pytest.fixture(scope="module")
def scores(proxy: ProxyBank, factors: Factors) -> Scores:
    config = ScoringConfig(
        model=str(proxy.model), factors=factors.folder, corpus=proxy.corpus, work=proxy.bank.folder, device="cpu"
    )
    return score_all(config, read_queries(proxy.bank.queries_file))


def test_every_score_is_of_every_sequence(scores: Scores):
    shapes = {values.shape for values in (scores.influence, scores.dot, scores.bm25, scores.all_linear, scores.index)}
    assert shapes == {(2, 12)}
    assert sorted(scores.dampings) == [0.001, 0.01, 1.0, 10.0]


def test_the_log_likelihoods_are_those_that_were_measured(scores: Scores, proxy: ProxyBank):
    measured = proxy.bank.measured(proxy.bank.plan.runs[0]).queries
    np.testing.assert_allclose(scores.log_likelihoods, measured, atol=2e-4)


def test_much_damping_is_the_dot_product_in_another_unit_of_each_layer(scores: Scores):
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(scores.dampings[10.0], scores.dot, strict=True)]
    assert min(correlations) > 0.8


def test_norms_are_those_of_the_dot_product_with_itself(proxy: ProxyBank, factors: Factors):
    engine = pytorch.create(EngineConfig(model=str(proxy.model), factors=factors.folder, device="cpu"))
    corpus = Corpus.open(proxy.corpus)
    (gradient,) = engine.query_gradients(corpus.tokens_at([3]))
    square = sum(float(((layer.left.T @ layer.right) ** 2).sum()) for layer in gradient.layers)
    assert gradient_norms(engine, corpus)[3] == pytest.approx(np.sqrt(square), rel=1e-4)


def test_self_influence_is_an_influence_on_oneself(scores: Scores, proxy: ProxyBank, factors: Factors):
    engine = pytorch.create(EngineConfig(model=str(proxy.model), factors=factors.folder, device="cpu"))
    sequences = Corpus.open(proxy.corpus).tokens_at([0, 5])
    raw = engine.score(engine.precondition(engine.query_gradients(sequences), 0.1), sequences)
    np.testing.assert_allclose(scores.self_influence[[0, 5]], np.diag(raw) / 12, rtol=1e-3)
