"""The laws of the engine contract, on every engine. A new engine joins by a line in ``subjects.CASES``.

Most hold in process and over the wire alike. Those that take a ``local`` one hold it to what only a call in process can
say: weights that are no completion, the contract's own errors.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import data
from conformance.subjects import CASES, WIRE_CASES, Case, InProcess, Subject
from conformance.wire import over_the_wire
from whence.errors import InvalidRequestError, MismatchError
from whence_backends.contract import Detail, LayerFold, LayerGradient, LowRankEngine, SketchPlan, TokenSequence
from whence_backends.ekfac.factors import FORMAT
from whence_backends.ekfac.low_rank import range_noise, truncate_weighted, worthwhile
from whence_backends.engines import load_engine
from whence_backends.engines.fake import FakeModel
from whence_backends.index.plan import make_plan
from whence_backends.index.sketch import Sketcher, fold_gradient, make_sketcher
from whence_backends.store import ArtefactWriter


@pytest.fixture(scope="module", params=CASES, ids=str)
def local(request: pytest.FixtureRequest, in_process: Callable[[Case], InProcess]) -> InProcess:
    """An engine, called by its contract."""
    return in_process(request.param)


@pytest.fixture(
    scope="module",
    params=[*((case, False) for case in CASES), *((case, True) for case in WIRE_CASES)],
    ids=lambda param: f"{param[0]}{'-over-the-wire' if param[1] else ''}",
)
def subject(
    request: pytest.FixtureRequest,
    in_process: Callable[[Case], InProcess],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Subject]:
    """An engine, called by its contract or through client, front end and worker."""
    case, wire = request.param
    if not wire:
        yield in_process(case)
        return
    with over_the_wire(in_process(case), tmp_path_factory.mktemp("wire")) as served:
        yield served


def assert_close(subject: Subject, got: np.ndarray, want: np.ndarray, *, at_least: float = 0.0) -> None:
    """Compare relative to the largest value: influences of either sign cancel, so small ones carry its rounding.

    ``at_least`` is what float32 leaves in any precision.
    """
    worst = np.unravel_index(np.abs(got - want).argmax(), want.shape)
    scale = np.abs(want).max()
    rtol = max(subject.case.rtol, at_least)
    assert np.abs(got - want).max() <= rtol * scale, f"worst at {worst}: {got[worst]} is not {want[worst]}"


def test_influence_is_the_gradients_product_with_the_dense_damped_solve(subject: Subject) -> None:
    """Broken by: Q where Qᵀ is meant; a bias packed elsewhere than last; damping shared between layers."""
    queries, items = subject.items[:3], subject.items[3:9]
    gradients = dense_gradients(subject, queries + items)
    want = np.zeros((3, 6))
    for index in range(len(subject.factors.card.layers)):
        Q_A, Q_S, Lambda = (array.astype(np.float64) for array in subject.factors.layer(index))
        Q = np.kron(Q_S, Q_A)
        curvature = (Q * Lambda.reshape(-1)) @ Q.T + 0.1 * Lambda.mean() * np.eye(len(Q))
        flat = np.stack([gradient[index].reshape(-1) for gradient in gradients])
        want += flat[:3] @ np.linalg.solve(curvature, flat[3:].T)
    assert_close(subject, subject.influences(queries, items), want)


def dense_gradients(subject: Subject, items: list[TokenSequence]) -> list[list[np.ndarray]]:
    """Each layer's gradient of each sequence: by autograd on a fresh float64 model, or by finite differences."""
    if subject.case.engine in ("fake", "bigram"):
        return [finite_differences(subject, item) for item in items]
    from transformers import AutoModelForCausalLM

    from dense_oracle import DenseOracle

    oracle = DenseOracle(AutoModelForCausalLM.from_pretrained(subject.model), subject.factors.card.layers)
    return [[gradient.numpy() for gradient in oracle.gradient(item)] for item in items]


def finite_differences(subject: Subject, item: TokenSequence) -> list[np.ndarray]:
    """Central differences of a numpy model's log-likelihood, in each tracked weight."""
    from bigram_engine import Bigram

    weights = load_file(subject.model / "model.safetensors")
    kind, names = (FakeModel, ("W1", "W2")) if subject.case.engine == "fake" else (Bigram, ("W",))
    step, gradients = 1e-5, []
    for name in names:
        gradient = np.zeros_like(weights[name])
        for place in np.ndindex(*gradient.shape):
            shift = np.zeros_like(gradient)
            shift[place] = step
            up, down = (kind(**{**weights, name: weights[name] + sign * shift}).trace(item)[0] for sign in (1, -1))
            gradient[place] = (up - down) / (2 * step)
        gradients.append(gradient)
    return gradients


def test_the_measurement_is_the_weighted_log_likelihood(local: InProcess) -> None:
    """Broken by: counting the prompt; forgetting the shift between inputs and targets."""
    whole, masked = data.sequence(10, 5), data.sequence(10, 5, masked=4)
    tail = TokenSequence(token_ids=whole.token_ids, weights=whole.weights - masked.weights)
    values = [gradient.log_likelihood for gradient in local.engine.query_gradients([whole, masked, tail])]
    assert values[0] == pytest.approx(values[1] + values[2], rel=1e-5)
    assert values[0] < values[1] < 0


def test_a_masked_prompt_is_not_measured(subject: Subject, in_process: Callable[[Case], InProcess]) -> None:
    """Broken by: sending weights nowhere; a completion that starts one token off."""
    queries = [data.sequence(10, 5), data.sequence(10, 5, masked=4)]
    values = subject.log_likelihoods(queries)
    assert values[0] < values[1] < 0
    assert values == pytest.approx(in_process(subject.case).log_likelihoods(queries), rel=1e-6)


def test_a_sequence_scores_the_same_alone_and_in_any_batch(subject: Subject) -> None:
    """Broken by: padding on the left; gradients at padding; a mean over the batch."""
    queries, items = subject.items[:2], subject.items[4:14]
    together = subject.influences(queries, items)
    alone = np.concatenate([subject.influences(queries, [item]) for item in items], axis=1)
    reversed_order = subject.influences(queries, items[::-1])[:, ::-1]
    assert_close(subject, together, alone)
    assert_close(subject, reversed_order, alone)


def test_a_query_scores_the_same_alone_and_among_others(subject: Subject) -> None:
    """Broken by: normalising over queries; another code path for one query that disagrees."""
    queries, items = subject.items[:4], subject.items[4:10]
    alone = np.concatenate([subject.influences([query], items) for query in queries])
    assert_close(subject, subject.influences(queries, items), alone)


def test_layers_and_tokens_add_up_to_the_whole(subject: Subject) -> None:
    """Broken by: leaving out a layer, or the second use of one; a bias without its token."""
    queries, items = subject.items[:2], subject.items[4:9]
    total = subject.influences(queries, items)
    layers = subject.influences(queries, items, detail=Detail.LAYERS)
    tokens = subject.influences(queries, items, detail=Detail.LAYERS_TOKENS)
    longest = max(len(item.token_ids) for item in items)
    assert tokens.shape == (2, 5, len(subject.factors.card.layers), longest)
    assert_close(subject, layers.sum(axis=2), total)
    assert_close(subject, tokens.sum(axis=3), layers)


def test_tokens_beyond_a_sequences_end_have_no_part(subject: Subject) -> None:
    """Broken by: attributing to padding."""
    short, long = data.sequence(5, 1), data.sequence(15, 2)
    tokens = subject.influences([subject.items[0]], [short, long], detail=Detail.LAYERS_TOKENS)
    assert np.all(tokens[:, 0, :, 4:] == 0)  # its last token is never an input
    assert np.any(tokens[:, 1, :, 4:] != 0)


def test_the_same_query_twice_gives_the_same_bits_and_leaves_the_factors_alone(subject: Subject) -> None:
    """Broken by: dividing the stored eigenvalues, or adding damping to them, in place."""
    queries, items = subject.items[:2], subject.items[4:9]
    first = subject.influences(queries, items, damping_factor=0.1)
    subject.influences(queries, items, damping_factor=3.0)
    again = subject.influences(queries, items, damping_factor=0.1)
    assert first.tobytes() == again.tobytes()
    assert subject.factors.digest == type(subject.factors).open(subject.factors.folder).digest


def test_influence_is_linear_in_the_training_sequences_weights(local: InProcess) -> None:
    """Broken by: dividing by the number of tokens; treating weights as a mask."""
    item = data.sequence(12, 8)
    first, second = item.weights.copy(), item.weights.copy()
    first[6:], second[:6] = 0, 0
    parts = [TokenSequence(token_ids=item.token_ids, weights=w) for w in (first, second, 2 * item.weights)]
    queries = [item, local.items[0]]
    whole, doubled = local.influences(queries, [item]), local.influences(queries, [parts[2]])
    assert_close(local, local.influences(queries, parts[:2]).sum(axis=1, keepdims=True), whole)
    assert_close(local, doubled, 2 * whole)


def test_influence_between_two_sequences_is_symmetric(subject: Subject) -> None:
    """Broken by: rotating, or damping, on one side only."""
    items = subject.items[:6]
    square = subject.influences(items, items)
    assert_close(subject, square, square.T)
    assert np.all(np.diag(square) > 0)


def test_more_damping_means_less_influence_of_a_sequence_on_itself(subject: Subject) -> None:
    """Broken by: ignoring the request's damping."""
    items = subject.items[:3]
    values = [np.diag(subject.influences(items, items, damping_factor=factor)) for factor in (0.01, 0.1, 1.0)]
    assert np.all(values[0] > values[1])
    assert np.all(values[1] > values[2])


def test_a_sequence_that_measures_nothing_has_no_influence(local: InProcess) -> None:
    nothing = TokenSequence(token_ids=np.array([3, 4, 5], np.int32), weights=np.zeros(3, np.float32))
    assert np.all(local.influences([local.items[0]], [nothing, local.items[1]])[:, 0] == 0)


@pytest.mark.parametrize("bad", [-1, 61])
def test_a_token_id_outside_the_vocabulary_is_refused(local: InProcess, bad: int) -> None:
    query = TokenSequence(token_ids=np.array([1, bad, 2], np.int32), weights=np.array([0, 1, 1], np.float32))
    with pytest.raises(InvalidRequestError, match="the vocabulary has 0 to 60") as caught:
        local.engine.query_gradients([query])
    assert caught.value.reason == "INVALID_TOKEN_ID"


def test_a_query_longer_than_the_model_is_refused(local: InProcess) -> None:
    length = local.engine.info.max_tokens + 1
    with pytest.raises(InvalidRequestError, match="at most") as caught:
        local.engine.query_gradients([data.sequence(length, 1)])
    assert caught.value.reason == "TOO_LONG_SEQUENCE"


def test_factors_of_another_model_are_refused(local: InProcess, tmp_path: Path) -> None:
    others = altered_factors(local, tmp_path, model_digest="blake3:another")
    with pytest.raises(MismatchError, match="were fitted on") as caught:
        load_engine(local.case.engine, replace(local.config, factors=others))
    assert caught.value.reason == "FACTORS_MODEL_MISMATCH"


def test_factors_of_other_layers_are_refused(local: InProcess, tmp_path: Path) -> None:
    """Broken by: taking the layers from the model alone, and multiplying by another layer's basis of the same shape."""
    properties = local.factors.card.as_properties()["layers"]
    renamed = [{**layer, "name": f"another.{layer['name']}"} for layer in properties]
    others = altered_factors(local, tmp_path, layers=renamed)
    with pytest.raises(MismatchError, match="layers") as caught:
        load_engine(local.case.engine, replace(local.config, factors=others))
    assert caught.value.reason == "FACTORS_LAYERS_MISMATCH"


def altered_factors(local: InProcess, folder: Path, **properties: object) -> Path:
    """Copy the factors with other properties in a valid manifest."""
    copy = shutil.copytree(local.factors.folder, folder / "factors", ignore=shutil.ignore_patterns("manifest.json"))
    writer = ArtefactWriter(copy, FORMAT)
    files = [writer.record(path.name) for path in copy.iterdir()]
    writer.finish(files, {**local.factors.card.as_properties(), **properties})
    return copy


def test_an_option_that_it_does_not_know_is_refused(local: InProcess) -> None:
    with pytest.raises(InvalidRequestError, match="nonsense") as caught:
        load_engine(local.case.engine, replace(local.config, options={"nonsense": "1"}))
    assert caught.value.reason == "INVALID_ENGINE_OPTION"


def test_the_engine_says_what_it_holds(local: InProcess) -> None:
    info = local.engine.info
    assert (info.engine, info.precision) == (local.case.engine, local.case.precision)
    assert info.layers == local.factors.card.layers
    assert 0 < info.attributed_parameters < info.parameters
    assert info.factors_digest == local.factors.digest


def test_a_sketch_that_folds_nothing_gives_the_influences(local: InProcess) -> None:
    """Broken by: whitening by Λ + λ instead of its root; Q where Qᵀ is meant; layers in another order."""
    queries, items = local.items[:3], local.items[3:9]
    plan = unfolded(local)
    sketch = make_sketcher(local.engine, plan, local.factors.Lambda)
    queried = np.stack([fold_gradient(gradient, plan) for gradient in local.engine.query_gradients(queries)])
    want = local.influences(queries, items)
    assert_close(local, queried.astype(np.float64) @ sketch(items).values.T.astype(np.float64), want, at_least=1e-6)


def unfolded(subject: InProcess) -> SketchPlan:
    """Return a plan with a value for each coordinate of each layer."""
    folds, start = [], 0
    for index in range(len(subject.factors.card.layers)):
        Lambda = subject.factors.Lambda(index).astype(np.float64)
        weights = (1 / np.sqrt(Lambda + 0.1 * Lambda.mean())).reshape(1, -1).astype(np.float32)
        indices = np.arange(Lambda.size, dtype=np.int32).reshape(1, -1)
        folds.append(LayerFold(start=start, indices=indices, weights=weights))
        start += Lambda.size
    return SketchPlan(width=start, damping_factor=0.1, folds=tuple(folds))


def test_a_sketch_is_the_fold_of_the_gradient(local: InProcess) -> None:
    """Broken by: another order of coordinates; folding one layer over another."""
    items = local.items[:8]
    plan, sketch = sketcher(local, keep=0.5, width=512)
    want = np.stack([fold_gradient(gradient, plan) for gradient in local.engine.query_gradients(items)])
    assert_close(local, sketch(items).values, want, at_least=1e-6)


def test_a_sketch_is_the_same_alone_and_in_any_batch(local: InProcess) -> None:
    """Broken by: padding on the left; gradients at padding."""
    items = local.items[4:14]
    _, sketch = sketcher(local, keep=0.5, width=512)
    together = sketch(items)
    alone = [sketch([item]) for item in items]
    assert_close(local, together.values, np.concatenate([one.values for one in alone]), at_least=1e-6)
    assert_close(local, together.self_influence, np.concatenate([one.self_influence for one in alone]))


def test_self_influence_is_the_influence_on_oneself(local: InProcess) -> None:
    """Broken by: summing over the coordinates that are kept alone; dividing by the root."""
    items = local.items[:6]
    _, sketch = sketcher(local, keep=0.5, width=512)
    assert_close(local, sketch(items).self_influence, np.diag(local.influences(items, items)))


def sketcher(subject: InProcess, *, keep: float, width: int) -> tuple[SketchPlan, Sketcher]:
    """Return a plan for the subject's layers, and its engine's way to sketch."""
    layers, factors = subject.factors.card.layers, subject.factors
    Lambdas = [factors.Lambda(index) for index in range(len(layers))]
    plan, _ = make_plan(layers, Lambdas, damping_factor=0.1, keep=keep, width=width, groups=1, seed=0)
    return plan, make_sketcher(subject.engine, plan, factors.Lambda)


@pytest.fixture(scope="module", params=[case for case in CASES if case.engine in ("pytorch", "ort")], ids=str)
def bounded(request: pytest.FixtureRequest, in_process: Callable[[Case], InProcess]) -> InProcess:
    """An engine that can keep preconditioned queries in a bounded rank."""
    made = in_process(request.param)
    assert isinstance(made.engine, LowRankEngine)
    return made


@pytest.mark.parametrize("detail", Detail)
def test_a_bounded_rank_gives_the_influences_of_the_truncated_query(bounded: InProcess, detail: Detail) -> None:
    """Broken by: rotating the factors back with Qᵀ; the factors of one query for another's; a layer left out."""
    rank, queries, items = 2, bounded.items[:3], bounded.items[3:9]
    engine = bounded.engine
    assert isinstance(engine, LowRankEngine)
    gradients = engine.query_gradients([*queries, *items])
    want, errors, norms = np.zeros((3, 6)), np.zeros(3), np.zeros(3)
    for index, layer in enumerate(bounded.factors.card.layers):
        Lambda = bounded.factors.Lambda(index).astype(np.float64)
        rotated = [product(gradient.layers[index]) for gradient in gradients]
        V = [one / (Lambda + 0.1 * Lambda.mean()) for one in rotated[:3]]
        norms += [float((Lambda * one**2).sum()) for one in V]
        if worthwhile(rank, layer.d_out, layer.d_in):
            found = [truncate_weighted(one, Lambda, rank, np.linalg, range_noise(layer.d_in, rank)) for one in V]
            errors += [one.squared_error for one in found]
            V = [one.left.T @ one.right for one in found]
        want += np.array([[float((one * G).sum()) for G in rotated[3:]] for one in V])
    prepared, told = engine.precondition_low_rank(gradients[:3], 0.1, rank)
    scored = engine.score(prepared, items, detail)
    assert_close(bounded, scored.reshape(3, 6, -1).sum(axis=2), want)
    np.testing.assert_allclose(told, np.sqrt(errors / norms), rtol=max(1e-6, 10 * bounded.case.rtol))
    assert np.all(told > 0)


def product(gradient: LayerGradient) -> np.ndarray:
    return gradient.left.astype(np.float64).T @ gradient.right.astype(np.float64)


def test_a_rank_that_saves_nothing_leaves_the_query_whole(bounded: InProcess) -> None:
    engine, items = bounded.engine, bounded.items[3:9]
    assert isinstance(engine, LowRankEngine)
    prepared, told = engine.precondition_low_rank(engine.query_gradients(bounded.items[:2]), 0.1, 10_000)
    assert engine.score(prepared, items).tobytes() == bounded.influences(bounded.items[:2], items).tobytes()
    assert not told.any()
