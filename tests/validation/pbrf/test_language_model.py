"""The response function of language models: its parts against autograd on the model itself, and the job as a whole."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import tiny_models
from data import sequence, sequences
from validation.pbrf.conftest import COPIES
from whence.errors import InvalidRequestError, MismatchError
from whence_backends.contract import EngineConfig, TokenSequence
from whence_backends.corpus import Corpus
from whence_backends.engines import load_engine
from whence_backends.models.source import resolve_model
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.models.tracked import track
from whence_backends.validation.pbrf.batches import language_model, token_batch, token_batches
from whence_backends.validation.pbrf.config import PbrfConfig
from whence_backends.validation.pbrf.job import run_pbrf
from whence_backends.validation.pbrf.losses import CrossEntropy
from whence_backends.validation.pbrf.newton import Effort
from whence_backends.validation.pbrf.objective import Objective, Pull
from whence_backends.validation.pbrf.result import PbrfResult
from whence_backends.validation.pbrf.weights import FreeWeights
from whence_backends.validation.queries import read_queries, tokenize

CPU = torch.device("cpu")
DATA = sequences(6)
POINT = sequence(9, 77, masked=3)
EPSILON, DAMPING = 0.2, 0.03


@pytest.fixture(params=[tiny_models.llama, tiny_models.gpt2])
def model(request: pytest.FixtureRequest) -> Any:
    return request.param().double().requires_grad_(False)


def objective_of(model: Any) -> Objective:
    weights = FreeWeights(track(model, "mlp"))
    batches = token_batches(DATA, 40, CPU, torch.float64)
    assert len(batches) > 1
    return Objective(language_model(model), CrossEntropy(), weights, batches, [DAMPING] * len(weights.specs))


def moved(model: Any, weights: FreeWeights, displacement: Tensor) -> Any:
    """A copy of the model whose own parameters are displaced."""
    other = copy.deepcopy(model).requires_grad_(True)
    with torch.no_grad():
        for name, value in weights.named(weights.start + displacement).items():
            other.get_parameter(name).copy_(value)
    return other


def log_p(model: Any, item: TokenSequence) -> Tensor:
    tokens = torch.tensor(item.token_ids).long()
    logits = model(input_ids=tokens[:-1].unsqueeze(0), use_cache=False).logits[0]
    return torch.log_softmax(logits, dim=-1)[torch.tensor(item.weights[1:]) != 0]


def by_definition(model: Any, other: Any) -> Tensor:
    """The objective at the weights of ``other``, but for the damping: one sequence at a time."""
    total = torch.zeros((), dtype=torch.float64)
    for item in DATA:
        now, before = log_p(other, item), log_p(model, item)
        total = total + torch.nn.functional.kl_div(now, before, log_target=True, reduction="sum") / len(DATA)
    labels = torch.tensor(POINT.token_ids).long()[1:][torch.tensor(POINT.weights[1:]) != 0]
    return total - EPSILON * log_p(other, POINT).gather(1, labels.unsqueeze(1)).sum()


def test_the_gradient_is_autograds_on_the_models_own_weights(model: Any) -> None:
    """Broken by: KL in the other direction; masked tokens that count; padding; a transposed Conv1D; the damping."""
    objective = objective_of(model)
    weights, pull = objective.weights, Pull(point=token_batch([POINT], CPU, torch.float64), epsilon=EPSILON)
    displacement = 0.05 * torch.randn(len(weights.start), generator=torch.Generator().manual_seed(1)).double()
    other = moved(model, weights, displacement)
    value = by_definition(model, other)
    value.backward()
    gradients = {name: other.get_parameter(name).grad for name in weights.named(weights.start)}
    got = objective.evaluate(displacement, pull)
    named = weights.named(got.gradient - DAMPING * displacement)
    for name, gradient in gradients.items():
        torch.testing.assert_close(named[name], gradient, rtol=1e-4, atol=1e-6)
    before = float(by_definition(model, model))
    proximal = DAMPING / 2 * float(displacement.square().sum())
    assert got.change == pytest.approx(float(value.detach()) - before + proximal, rel=1e-5)


def test_the_curvature_is_the_hessian_at_the_start(model: Any) -> None:
    """Broken by: the softmax's Hessian without its second term; a tangent that attention loses."""
    objective = objective_of(model)
    start = torch.zeros_like(objective.weights.start)
    vector = torch.randn(len(start), generator=torch.Generator().manual_seed(2)).double()
    nowhere = Pull(point=token_batch([POINT], CPU, torch.float64), epsilon=0.0)
    got, want = objective.curvature(start, vector), objective.hessian(start, vector, nowhere)
    assert float((got - want).norm()) < 1e-5 * float(want.norm())


def test_the_job_converges_and_says_so(config: PbrfConfig, result: PbrfResult) -> None:
    """Broken by: a convergence that is not asked for; a sample that is passed over in silence."""
    assert result.converged == dict.fromkeys(COPIES, 3)
    responses = [response for point in result.responses for response in point.responses]
    assert all(response.gradient <= config.effort.tolerance for response in responses)
    assert f"a sample of 12 of the {result.setting.training_set_size} training sequences" in result.remarks[0]
    document = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert [row["copies"] for row in document["agreements"]] == [COPIES[0]] * 3 + [COPIES[1]] * 3
    assert len(document["points"][0]["responses"][0]["per_copy"]) == len(result.queries) == 10


def test_small_pulls_agree_with_the_gauss_newton_matrix(result: PbrfResult) -> None:
    """Broken by: the sign of the response; a size that is not of one copy."""
    small = {row.method: row for row in result.agreements if row.copies == COPIES[1]}
    assert small["gauss_newton"].pearson.value > 0.98
    assert small["gauss_newton"].slope.value == pytest.approx(1, abs=0.1)


def test_its_ekfac_is_that_of_the_engine(config: PbrfConfig, result: PbrfResult) -> None:
    """Broken by: another damping; an influence that is not divided by N; the sequences in another order."""
    engine = load_engine(
        "pytorch", EngineConfig(model=config.model, factors=config.factors, device="cpu", precision="float64")
    )
    corpus = Corpus.open(config.corpus)
    place = {corpus.record(position).sequence_id: position for position in range(corpus.sequences)}
    points = corpus.tokens_at([place[name] for name in result.points])
    tokenizer = Tokenizer.load(resolve_model(config.model))
    queries = tokenize(read_queries(config.queries), tokenizer, corpus, max_tokens=256, vocabulary_size=384)
    V = engine.precondition(engine.query_gradients(queries), config.damping_factor)
    want = engine.score(V, points) / result.setting.training_set_size  # [Q, M]
    engine.close()
    got = np.stack([point.ekfac for point in result.responses], axis=1)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * float(np.abs(want).max()))


def test_a_minimum_that_is_not_reached_has_no_figures(config: PbrfConfig) -> None:
    """Broken by: figures of what did not converge."""
    hurried = run_pbrf(replace(config, points=3, columns=0, effort=Effort(tolerance=1e-8, iterations=1)))
    assert hurried.converged == dict.fromkeys(COPIES, 0)
    assert hurried.agreements == ()
    assert f"3 of 3 points did not converge for {COPIES[0]:g} copies" in " ".join(hurried.remarks)
    assert hurried.as_json()["points"][0]["responses"][0]["per_copy"] is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda c: replace(c, points=2), "points"),
        (lambda c: replace(c, copies=(1.0, 0.0)), "copies"),
        (lambda c: replace(c, damping_factor=0.0), "damping_factor"),
        (lambda c: replace(c, columns=-1), "columns"),
        (lambda c: replace(c, batch_tokens=0), "batch_tokens"),
        (lambda c: replace(c, effort=Effort(tolerance=0.0)), "tolerance"),
        (lambda c: replace(c, points=40, sequences=40), "points"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    config: PbrfConfig, change: Callable[[PbrfConfig], PbrfConfig], field: str
) -> None:
    """Broken by: a check that is not made."""
    with pytest.raises(InvalidRequestError) as error:
        run_pbrf(change(config))
    assert (error.value.reason, error.value.field) == ("INVALID_PBRF_SETTING", field)


def test_the_factors_of_another_corpus_are_refused(config: PbrfConfig, tmp_path: Path) -> None:
    """Broken by: positions of the fit looked up in a corpus that it did not read."""
    from whence_backends.corpus import ChunkPolicy, IngestConfig, ingest
    from whence_backends.models import Tokenizer, resolve_model

    (tmp_path / "other.jsonl").write_text('{"id": "x", "text": "another text, of some length"}\n')
    tokenizer = Tokenizer.load(resolve_model(config.model))
    policy = ChunkPolicy(max_tokens=64, bos=False, eos=False)
    ingest(IngestConfig(inputs=[tmp_path / "other.jsonl"], out=tmp_path / "other", tokenizer=tokenizer, policy=policy))
    with pytest.raises(MismatchError) as error:
        run_pbrf(replace(config, corpus=tmp_path / "other"))
    assert error.value.reason == "FACTORS_CORPUS_MISMATCH"
