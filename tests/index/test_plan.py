"""Which coordinates are kept, and how they are folded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whence.errors import InvalidRequestError
from whence_backends.contract import LayerGradient, LayerSpec, QueryGradient
from whence_backends.index.plan import default_keep, group_layers, keep_largest, make_plan, share_out
from whence_backends.index.sketch import fold_gradient, with_damping

LAYERS = [
    LayerSpec(name=f"model.layers.{block}.{name}", d_in=12, d_out=10, bias=False)
    for block in range(5)
    for name in ("up", "down")
]
LAMBDAS = [np.random.default_rng(index).lognormal(0, 2, (10, 12)) for index in range(len(LAYERS))]


def plan(**options):
    return make_plan(
        LAYERS, LAMBDAS, **{"damping_factor": 0.1, "keep": 0.5, "width": 1024, "groups": 2, "seed": 0, **options}
    )


def gradient(seed):
    rng = np.random.default_rng(seed)
    layers = [LayerGradient(left=rng.normal(size=(3, 10)), right=rng.normal(size=(3, 12))) for _ in LAYERS]
    return QueryGradient(layers=tuple(layers), log_likelihood=0.0)


def test_a_block_is_never_cut() -> None:
    grouped = group_layers(LAYERS, 2)
    assert grouped == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9]]


def test_layers_without_numbers_are_one_block() -> None:
    named = [LayerSpec(name=name, d_in=2, d_out=2, bias=False) for name in ("first", "second")]
    assert group_layers(named, 4) == [[0, 1]]


@given(vectors=st.integers(1, 400), counts=st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_values_are_shared_out_in_whole_vectors_and_all_of_them(vectors: int, counts: list[int]) -> None:
    if vectors < len(counts):
        with pytest.raises(InvalidRequestError, match="at least 512 for each"):
            share_out(512 * vectors, counts)
        return
    widths = share_out(512 * vectors, counts)
    assert sum(widths) == 512 * vectors
    assert all(width % 512 == 0 and width >= 512 for width in widths)


def test_a_width_that_is_no_multiple_of_512_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="multiple of 512") as caught:
        plan(width=100)
    assert caught.value.reason == "INVALID_SKETCH_WIDTH"


@given(keep=st.floats(0.001, 1.0), levels=st.integers(1, 50), seed=st.integers(0, 100))
@settings(max_examples=50)
def test_the_largest_are_kept_whatever_ties_there_are(keep: float, levels: int, seed: int) -> None:
    """Broken by: keeping all that tie with the last, which may be most of them."""
    rng = np.random.default_rng(seed)
    arrays = [rng.integers(0, levels, size=(7, 9)).astype(float) for _ in range(3)]
    kept = keep_largest(arrays, keep)
    assert sum(map(len, kept)) == max(1, round(keep * 189))
    inside = np.concatenate([array.reshape(-1)[k] for array, k in zip(arrays, kept, strict=True)])
    outside = np.concatenate([np.delete(array.reshape(-1), k) for array, k in zip(arrays, kept, strict=True)])
    assert inside.min() >= outside.max(initial=-1)


def test_every_kept_coordinate_is_folded_once_with_its_whitening() -> None:
    """Broken by: a gap in the last row that drops a coordinate; one λ for all layers."""
    made, segments = plan(keep=0.37)
    assert [segment.start for segment in segments] == [0, segments[0].width]
    for fold, Lambda in zip(made.folds, LAMBDAS, strict=True):
        used = fold.weights != 0
        indices = fold.indices[used]
        assert len(set(indices.tolist())) == len(indices)
        damped = Lambda.reshape(-1)[indices] + 0.1 * Lambda.mean()
        np.testing.assert_allclose(np.abs(fold.weights[used]), 1 / np.sqrt(damped), rtol=1e-6)
    assert sum(int((fold.weights != 0).sum()) for fold in made.folds) == round(0.37 * 1200)


def test_products_of_sketches_are_right_on_average() -> None:
    """Broken by: signs that are not independent; folding with weights that are not the whitening."""
    query, item = gradient(1), gradient(2)
    exact = sum(
        float(((q.left.T @ q.right) * (z.left.T @ z.right) / (Lambda + 0.1 * Lambda.mean())).sum())
        for q, z, Lambda in zip(query.layers, item.layers, LAMBDAS, strict=True)
    )
    estimates = []
    for seed in range(200):
        made, _ = plan(keep=1.0, seed=seed)
        estimates.append(float(fold_gradient(query, made) @ fold_gradient(item, made)))
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - exact) < 4 * error
    assert np.std(estimates) > 0


def test_another_damping_of_the_query_alone_gives_the_influence_under_it() -> None:
    """Broken by: reweighting both sides; taking the root of the ratio."""
    query, item = gradient(1), gradient(2)
    exact = sum(
        float(((q.left.T @ q.right) * (z.left.T @ z.right) / (Lambda + 3.0 * Lambda.mean())).sum())
        for q, z, Lambda in zip(query.layers, item.layers, LAMBDAS, strict=True)
    )
    estimates = []
    for seed in range(200):
        made, _ = plan(keep=1.0, seed=seed)
        damped = with_damping(made, lambda index: LAMBDAS[index], 3.0)
        estimates.append(float(fold_gradient(query, damped) @ fold_gradient(item, made)))
    assert abs(np.mean(estimates) - exact) < 4 * np.std(estimates) / np.sqrt(len(estimates))


def test_the_same_damping_is_the_same_plan() -> None:
    made, _ = plan()
    assert with_damping(made, lambda index: LAMBDAS[index], 0.1) is made


@pytest.mark.parametrize(
    ("option", "value"),
    [("keep", 0.0), ("keep", 1.5), *(("damping_factor", value) for value in (0.0, np.nan, np.inf, 1e308, 1e39))],
)
def test_nonsense_is_refused(option: str, value: float) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        plan(**{option: value})
    assert caught.value.reason == {"keep": "INVALID_KEEP", "damping_factor": "INVALID_DAMPING_FACTOR"}[option]


def test_what_is_kept_by_default_is_half_or_what_the_values_can_hold() -> None:
    """Broken by: half of a large model's coordinates, thousands to a value."""
    assert default_keep(15872, 589_824) == 0.5
    assert default_keep(15872, 80_000_000) == pytest.approx(0.00992)
    assert default_keep(2 * 15872, 80_000_000) == pytest.approx(2 * 0.00992)
