"""The step check: the first order holds where it must, and wrong preconditioning shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from validation.checks.subject import Subject, refit
from whence_backends.ekfac.influence import damped
from whence_backends.engines import pytorch
from whence_backends.engines.pytorch import PytorchEngine
from whence_backends.store.artefact import digest_bytes
from whence_backends.validation.checks import step
from whence_backends.validation.checks.config import CheckProgress
from whence_backends.validation.checks.inputs import Inputs
from whence_backends.validation.checks.moved import MovableWeights
from whence_backends.validation.checks.sample import Sample, draw
from whence_backends.validation.checks.step import Steps, steps
from whence_backends.validation.scores.scan import Scanned, scan, under


def everything(inputs: Inputs) -> Sample:
    return draw(inputs.config, inputs.corpus.sequences, np.zeros((4, inputs.corpus.sequences)), ())


def served(inputs: Inputs) -> np.ndarray:
    over = Scanned(
        corpus=inputs.corpus,
        positions=everything(inputs).scanned,
        batch_tokens=64,
        progress=lambda done, total: None,
    )
    with inputs.engine("float64") as engine:
        variant = under(engine, inputs.factors, inputs.config.damping_factor)
        return scan(engine, {"served": (variant, [query.tokens for query in inputs.queries])}, over)["served"]


def check(inputs: Inputs, scores: np.ndarray | None = None) -> Steps:
    return steps(inputs, everything(inputs), served(inputs) if scores is None else scores, lambda _: None)


def small(result: Steps) -> step.Band:
    """The band below 0.1 nats, which must have something in it."""
    assert result.bands[0].pairs > 10
    return result.bands[0]


@pytest.mark.parametrize("name", ["subject", "with_biases"])
def test_small_steps_do_what_the_influence_says(name: str, request: pytest.FixtureRequest, tmp_path: Path):
    result = check(request.getfixturevalue(name).inputs(tmp_path))
    assert small(result).slope == pytest.approx(1, abs=0.02)
    assert (result.right_signs, result.own_raised) == (1, 1)
    assert [band.pairs for band in result.bands[1:]] == [0, 0]


def test_large_steps_do_not(subject: Subject, tmp_path: Path):
    inputs = refit(subject, tmp_path / "f", training_sequences=50).inputs(tmp_path / "out")
    large = check(inputs).bands[2]
    assert large.pairs > 4
    assert large.slope is not None
    assert abs(large.slope - 1) > 0.1


def test_a_wrong_sign_of_the_served_influence_shows(subject: Subject, tmp_path: Path):
    inputs = subject.inputs(tmp_path)
    result = check(inputs, -served(inputs))
    assert small(result).slope == pytest.approx(-1, abs=0.02)
    assert result.right_signs == 0


def test_a_wrong_sign_on_both_sides_shows_in_the_step_of_a_sequence_itself(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    right = pytorch.precondition
    monkeypatch.setattr(pytorch, "precondition", lambda *arguments: -right(*arguments))
    assert check(subject.inputs(tmp_path)).own_raised == 0


def test_preconditioning_with_transposed_bases_shows(subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def wrong(left, right, factors, damping_factor):
        return factors.Q_S.T @ ((left.T @ right) / damped(factors, damping_factor)) @ factors.Q_A

    monkeypatch.setattr(pytorch, "precondition", wrong)
    result = check(subject.inputs(tmp_path))
    assert abs(small(result).slope - 1) > 0.2


def test_hits_that_promise_a_probability_above_1_are_counted(subject: Subject, tmp_path: Path):
    inputs = subject.inputs(tmp_path)
    scores = served(inputs)
    assert (check(inputs).hits, check(inputs).promising_hits, check(inputs).promising_queries) == (8, 0, 0)
    promising = check(inputs, scores * 1e6)
    assert (promising.promising_hits, promising.promising_queries) == (8, 4)


@contextmanager
def watched(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Note the digest of the model's weights when it is loaded and when it is let go."""
    digests: list[str] = []

    def note(engine: PytorchEngine) -> None:
        state = engine.model.model.state_dict()
        digests.append(digest_bytes(b"".join(state[name].numpy().tobytes() for name in sorted(state))))

    load, close = pytorch.create, PytorchEngine.close

    def create(config):
        engine = load(config)
        note(engine)
        return engine

    def closing(engine: PytorchEngine) -> None:
        note(engine)
        close(engine)

    with monkeypatch.context() as patch:
        patch.setattr(pytorch, "create", create)
        patch.setattr(PytorchEngine, "close", closing)
        yield digests


@pytest.mark.parametrize("name", ["subject", "with_biases"])
def test_the_weights_are_what_they_were(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    inputs = request.getfixturevalue(name).inputs(tmp_path)
    scores = served(inputs)
    with watched(inputs, monkeypatch) as digests:
        check(inputs, scores)
    assert len(digests) == 2
    assert digests[0] == digests[1]


def test_the_weights_are_what_they_were_after_an_exception(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    inputs = subject.inputs(tmp_path)
    scores, calls, right = served(inputs), [], step.log_likelihoods

    def failing(model, sequences):
        calls.append(len(sequences))
        if len(calls) == 3:  # with the weights moved
            raise KeyboardInterrupt
        return right(model, sequences)

    monkeypatch.setattr(step, "log_likelihoods", failing)
    with watched(inputs, monkeypatch) as digests, pytest.raises(KeyboardInterrupt):
        check(inputs, scores)
    assert calls == [4, 1, 4]
    assert digests[0] == digests[1]


def test_weights_move_by_the_step_and_return(with_biases: Subject, tmp_path: Path):
    with with_biases.inputs(tmp_path).engine("float64") as engine:
        layer = engine.model.layers[0]
        weight, bias = layer.module.weight.clone(), layer.module.bias.clone()
        moves = [torch.randn(spec.d_out, spec.d_in, dtype=torch.float64) for spec in engine.model.specs]
        with MovableWeights(engine.model.layers) as weights:
            weights.move(moves, 0.5)
            assert torch.equal(layer.module.weight, weight + 0.5 * moves[0][:, :-1].T)
            assert torch.equal(layer.module.bias, bias + 0.5 * moves[0][:, -1])
        assert torch.equal(layer.module.weight, weight)
        assert torch.equal(layer.module.bias, bias)


def test_the_progress_counts_steps(subject: Subject, tmp_path: Path):
    inputs, seen = subject.inputs(tmp_path), list[CheckProgress]()
    result = steps(inputs, everything(inputs), served(inputs), seen.append)
    assert [at.done for at in seen] == list(range(result.steps + 1))
    assert {at.total for at in seen} == {result.steps}
