"""Scores under several factors at once, and sums of gradients: against the gradients themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from validation.checks.subject import SEQUENCES, Subject, queries
from whence_backends.contract import TokenSequence
from whence_backends.engines.pytorch import PytorchEngine
from whence_backends.validation.checks.inputs import Inputs
from whence_backends.validation.checks.optimum import optimum
from whence_backends.validation.checks.precision import telling
from whence_backends.validation.checks.sample import draw
from whence_backends.validation.scores import scan as scanning
from whence_backends.validation.scores.scan import Asked, Scanned, scan, unconditioned, under


@pytest.fixture(params=["subject", "with_biases"])
def inputs(request: pytest.FixtureRequest, tmp_path: Path) -> Inputs:
    subject: Subject = request.getfixturevalue(request.param)
    return subject.inputs(tmp_path)


def asked(engine: PytorchEngine, inputs: Inputs) -> Asked:
    tokens = [query.tokens for query in queries()]
    return {
        "served": (under(engine, inputs.factors, 0.1), tokens),
        "dot": (unconditioned(engine.model), tokens),
        "canaries": (under(engine, inputs.factors, 0.1), tokens[:1]),
    }


def over(inputs: Inputs, seen: list[tuple[int, int]], positions: list[int]) -> Scanned:
    return Scanned(
        corpus=inputs.corpus,
        positions=np.array(positions),
        batch_tokens=64,
        progress=lambda done, total: seen.append((done, total)),
    )


def gradients(engine: PytorchEngine, sequences: list[TokenSequence]) -> np.ndarray:
    """Return the gradients over all layers, in the eigenbases, [n, parameters]."""
    rotated = engine.query_gradients(sequences)
    return np.stack([np.concatenate([(g.left.T @ g.right).ravel() for g in row.layers]) for row in rotated])


def test_scores_are_products_of_gradients(inputs: Inputs):
    positions = [3, 1, 17, 30]
    with inputs.engine("float64") as engine:
        scores = scan(engine, asked(engine, inputs), over(inputs, [], positions))
        G_q = gradients(engine, [query.tokens for query in queries()])
        G_z = gradients(engine, inputs.corpus.tokens_at(positions))
        damped = [inputs.factors.Lambda(index) for index in range(len(engine.info.layers))]
    total = np.concatenate([(Lambda + 0.1 * Lambda.mean()).ravel() for Lambda in damped])
    np.testing.assert_allclose(scores["dot"], G_q @ G_z.T, rtol=1e-8)
    np.testing.assert_allclose(scores["served"], (G_q / total) @ G_z.T, rtol=1e-8)
    np.testing.assert_array_equal(scores["canaries"], scores["served"][:1])


def test_several_passes_give_the_scores_of_a_single_one(inputs: Inputs, monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[int, int]] = []
    with inputs.engine("float64") as engine:
        whole = scan(engine, asked(engine, inputs), over(inputs, seen, [5, 6, 7]))
        assert seen[-1] == (3, 3)
        monkeypatch.setattr(scanning, "_PASS_BYTES", 5 * scanning._row_bytes(engine))
        parts = scan(engine, asked(engine, inputs), over(inputs, seen, [5, 6, 7]))
        assert seen[-1] == (6, 6)
    for name, scores in whole.items():
        np.testing.assert_allclose(parts[name], scores, rtol=1e-9)


def test_the_mean_gradient_is_that_of_the_gradients(inputs: Inputs):
    sample = draw(inputs.config, SEQUENCES, np.zeros((4, SEQUENCES)), ())
    result = optimum(inputs, sample, np.ones((4, SEQUENCES)), lambda _: None)
    with inputs.engine("float64") as engine:
        G = gradients(engine, inputs.corpus.tokens_at(sample.first(30).tolist()))
    norms = np.linalg.norm(G, axis=1)
    assert result.sequences == 30
    assert result.gradient == pytest.approx(np.linalg.norm(G.mean(axis=0)) / norms.mean(), rel=1e-6)
    variance = G.var(axis=0, ddof=1).sum() * (1 - 30 / SEQUENCES) / 30
    assert result.by_chance == pytest.approx(np.sqrt(variance) / norms.mean(), rel=1e-6)
    assert result.influence == pytest.approx(1)


def test_influences_that_cancel_are_those_of_an_optimum(subject: Subject, tmp_path: Path):
    inputs = subject.inputs(tmp_path)
    sample = draw(inputs.config, SEQUENCES, np.zeros((4, SEQUENCES)), ())
    cancelling = np.tile([1.0, -1.0], (4, SEQUENCES // 2))
    assert optimum(inputs, sample, cancelling, lambda _: None).influence == pytest.approx(0)


def test_a_sample_of_a_large_corpus_has_the_hits_of_words_and_what_is_wanted(subject: Subject, tmp_path: Path):
    config, lexical = subject.config(tmp_path, scan_sequences=50), np.zeros((2, 10_000))
    lexical[0, 9_000:9_003] = [1, 3, 2]
    sample = draw(config, 10_000, lexical, [77, 9_001])
    assert {77, 9_000, 9_001, 9_002} <= set(sample.scanned.tolist())
    assert 50 < len(sample.scanned) < 100
    assert len(sample.columns(50)) == 50
    first, second = sample.halves(24)
    assert sorted([*first, *second]) == sample.first(24).tolist()


def test_precision_is_judged_on_first_hits_and_random_sequences(subject: Subject, tmp_path: Path):
    served = np.random.default_rng(0).normal(size=(4, SEQUENCES))
    sample = draw(subject.config(tmp_path), SEQUENCES, np.zeros((4, SEQUENCES)), ())
    columns = telling(sample, served, 20)
    assert len(set(columns.tolist())) == 20
    assert set(np.argsort(-served, axis=1)[:, :2].ravel().tolist()) <= set(columns.tolist())
    assert telling(sample, served, 500).tolist() == list(range(SEQUENCES))
