"""A gradient of bounded rank says how much it lost, over all layers: those that lost nothing count by their size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from whence_backends.ekfac.influence import compress
from whence_backends.ekfac.storage import StoredForm, relative_error, squared_norm, stored_form, truncate

Compress = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray, float, float]]


def with_torch(left: np.ndarray, right: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    kept_left, kept_right, error, norm = compress(torch.from_numpy(left), torch.from_numpy(right), rank)
    return kept_left.numpy(), kept_right.numpy(), error, norm


def with_numpy(left: np.ndarray, right: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    """As the engine ort does."""
    if stored_form(len(left), left.shape[1], right.shape[1], rank) is StoredForm.TRUNCATED:
        return truncate(left, right, rank)
    return left, right, 0.0, squared_norm(left, right)


@pytest.mark.parametrize("compressed", [with_torch, with_numpy])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_error_is_that_of_all_layers_together(compressed: Compress, scale: float) -> None:
    """Broken by: a layer that lost nothing counted as of size 1, whatever its size."""
    rng = np.random.default_rng(0)
    layers = [(scale * rng.normal(size=(9, d_out)), rng.normal(size=(9, d_in))) for d_out, d_in in ((8, 7), (8, 3))]
    kept = [compressed(left, right, 4) for left, right in layers]
    whole = [left.T @ right for left, right in layers]
    lost = [np.linalg.norm(matrix - a.T @ b) for matrix, (a, b, *_) in zip(whole, kept, strict=True)]
    assert lost[0] > 0
    assert lost[1] == pytest.approx(0, abs=1e-9 * scale)
    want = np.linalg.norm(lost) / np.linalg.norm([np.linalg.norm(matrix) for matrix in whole])
    assert relative_error([one[2] for one in kept], [one[3] for one in kept]) == pytest.approx(want)


@pytest.mark.parametrize("compressed", [with_torch, with_numpy])
def test_no_matrix_of_the_rank_is_nearer(compressed: Compress) -> None:
    rng = np.random.default_rng(1)
    left, right = rng.normal(size=(12, 9)), rng.normal(size=(12, 10))
    kept_left, kept_right, error, norm = compressed(left, right, 3)
    sigma = np.linalg.svd(left.T @ right, compute_uv=False)
    assert (kept_left.shape, kept_right.shape) == ((3, 9), (3, 10))
    assert error == pytest.approx(float((sigma[3:] ** 2).sum()))
    assert norm == pytest.approx(float((sigma**2).sum()))
    assert np.linalg.norm(left.T @ right - kept_left.T @ kept_right) ** 2 == pytest.approx(error)
