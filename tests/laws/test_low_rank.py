"""Truncation in the metric that influences are measured in: as good as it can be, and what it says that it lost."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from whence.errors import InternalError
from whence_backends.ekfac.influence import precondition_low_rank
from whence_backends.ekfac.layer_factors import LayerFactors
from whence_backends.ekfac.low_rank import LowRank, range_noise, truncate_weighted, worthwhile


def truncated(V: np.ndarray, Lambda: np.ndarray, rank: int) -> LowRank:
    return truncate_weighted(V, Lambda, rank, np.linalg, range_noise(V.shape[1], rank))


def loss(V: np.ndarray, Lambda: np.ndarray, kept: np.ndarray) -> float:
    return float((Lambda * (V - kept) ** 2).sum())


V = np.random.default_rng(0).normal(size=(12, 20))


def test_with_equal_eigenvalues_it_is_the_best_of_its_rank() -> None:
    """Eckart and Young. Broken by: keeping the last singular vectors; a root of the values on both sides or on none."""
    U, sigma, Vh = np.linalg.svd(V)
    found = truncated(V, np.full(V.shape, 2.0), 3)
    np.testing.assert_allclose(found.left.T @ found.right, (U[:, :3] * sigma[:3]) @ Vh[:3], atol=1e-12)
    assert found.squared_error == pytest.approx(2 * float((sigma[3:] ** 2).sum()))


def test_with_unequal_ones_it_keeps_what_influences_need() -> None:
    """Of Λ that is a product it is the best in Λ's own norm. Broken by: scaling by Λ, or not at all."""
    rows, columns = np.geomspace(1, 1e4, 12), np.geomspace(1e3, 1, 20)
    Lambda = rows[:, None] * columns
    U, sigma, Vh = np.linalg.svd(V * np.sqrt(Lambda))
    best = float((sigma[4:] ** 2).sum())
    found = truncated(V, Lambda, 4)
    assert found.squared_error == pytest.approx(best)
    assert found.squared_error == pytest.approx(loss(V, Lambda, found.left.T @ found.right))
    U, sigma, Vh = np.linalg.svd(V)
    assert best < 0.5 * loss(V, Lambda, (U[:, :4] * sigma[:4]) @ Vh[:4])


def test_the_full_rank_loses_nothing() -> None:
    found = truncated(V, np.random.default_rng(1).uniform(0, 1, V.shape), 12)
    np.testing.assert_allclose(found.left.T @ found.right, V, atol=1e-9)
    assert found.squared_error < 1e-20


def test_a_large_matrix_is_truncated_as_well_without_all_its_singular_values() -> None:
    """Broken by: too few power iterations for a spectrum that falls slowly."""
    rng = np.random.default_rng(2)
    U, _ = np.linalg.qr(rng.normal(size=(300, 300)))
    W, _ = np.linalg.qr(rng.normal(size=(400, 300)))
    sigma = 1 / np.sqrt(1 + np.arange(300))
    V, Lambda = (U * sigma) @ W.T, np.ones((300, 400))
    found = truncated(V, Lambda, 32)
    assert found.left.shape == (32, 300)
    assert found.squared_error < 1.02 * float((sigma[32:] ** 2).sum())


def test_numpy_and_torch_agree_and_each_repeats_itself_to_the_bit() -> None:
    Lambda, noise = np.random.default_rng(1).uniform(0, 1, V.shape), range_noise(20, 3)
    ours = truncated(V, Lambda, 3)
    theirs = truncate_weighted(*map(torch.from_numpy, (V, Lambda)), 3, torch.linalg, torch.from_numpy(noise))
    np.testing.assert_allclose(ours.left.T @ ours.right, (theirs.left.T @ theirs.right).numpy(), atol=1e-12)
    again = truncated(V, Lambda, 3)
    assert (ours.left.tobytes(), ours.right.tobytes()) == (again.left.tobytes(), again.right.tobytes())


def test_a_layer_that_is_left_out_is_no_trouble() -> None:
    found = truncated(np.zeros((4, 4)), np.ones((4, 4)), 1)
    assert np.isfinite(found.left).all()
    assert found.squared_error == 0


def test_a_query_that_is_not_finite_is_named_for_what_it_is() -> None:
    """As of a layer whose eigenvalues are all 0. Broken by: a decomposition that does not converge."""
    with pytest.raises(InternalError, match="not finite") as caught:
        truncated(np.full((4, 4), np.nan), np.zeros((4, 4)), 1)
    assert caught.value.reason == "NON_FINITE_INFLUENCE"


def test_a_rank_that_is_no_bound_costs_nothing() -> None:
    """Broken by: making noise for the largest rank that a request can name."""
    eye = torch.eye(4)
    factors = LayerFactors(Q_A=eye, Q_S=eye, Lambda=torch.ones(4, 4), mean=1.0)
    queries, errors, _ = precondition_low_rank([(eye[:1], eye[:1])], factors, 0.1, 2**32 - 1)
    assert isinstance(queries, torch.Tensor)
    assert errors == [0.0]


def test_two_factors_must_be_smaller_than_what_they_stand_for() -> None:
    assert worthwhile(5, 10, 100)
    assert not worthwhile(10, 10, 100)
