"""A gradient of bounded rank says how much it lost, over all layers: those that lost nothing count by their size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from whence_backends.ekfac.storage import Compressed, compress, relative_error
from whence_backends.ekfac.torch_arrays import TorchArrays
from whence_backends.engines.ort.arrays import DeviceArray
from whence_backends.engines.ort.compression import OrtArrays
from whence_backends.engines.ort.mathematics import Mathematics
from whence_backends.engines.ort.options import CPU, OrtOptions, Placement
from whence_backends.engines.ort.sessions import SessionOpener

# Of left [T, D_out] and right [T, D_in], both float64, in a rank or (None) without loss.
Compress = Callable[[np.ndarray, np.ndarray, int | None], Compressed[np.ndarray]]


def with_torch(left: np.ndarray, right: np.ndarray, rank: int | None) -> Compressed[np.ndarray]:
    arrays = TorchArrays(dtype=torch.float64, device=torch.device("cpu"))
    return on_host(compress(torch.from_numpy(left), torch.from_numpy(right), rank, arrays))


def with_onnxruntime(left: np.ndarray, right: np.ndarray, rank: int | None) -> Compressed[np.ndarray]:
    placement = Placement(providers=(CPU,), memory="cpu")
    options = OrtOptions(placement=placement, fallback=False, trace_memory_bytes=1, device_memory_bytes=None, threads=1)
    arrays = OrtArrays(
        mathematics=Mathematics(SessionOpener(options), "double"), dtype=np.dtype(np.float64), placement=placement
    )
    return on_host(compress(DeviceArray.of(left, placement), DeviceArray.of(right, placement), rank, arrays))


def on_host(kept: Compressed[torch.Tensor] | Compressed[DeviceArray]) -> Compressed[np.ndarray]:
    return Compressed(
        left=kept.left.numpy(), right=kept.right.numpy(), squared_error=kept.squared_error,
        squared_norm=kept.squared_norm,
    )  # fmt: skip


@pytest.mark.parametrize("compressed", [with_torch, with_onnxruntime])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_error_is_that_of_all_layers_together(compressed: Compress, scale: float) -> None:
    """Broken by: a layer that lost nothing counted as of size 1, whatever its size."""
    rng = np.random.default_rng(0)
    layers = [(scale * rng.normal(size=(9, d_out)), rng.normal(size=(9, d_in))) for d_out, d_in in ((8, 7), (8, 3))]
    kept = [compressed(left, right, 4) for left, right in layers]
    whole = [left.T @ right for left, right in layers]
    lost = [np.linalg.norm(matrix - layer.left.T @ layer.right) for matrix, layer in zip(whole, kept, strict=True)]
    assert lost[0] > 0
    assert lost[1] == pytest.approx(0, abs=1e-9 * scale)
    want = np.linalg.norm(lost) / np.linalg.norm([np.linalg.norm(matrix) for matrix in whole])
    assert relative_error(kept) == pytest.approx(want)


@pytest.mark.parametrize("compressed", [with_torch, with_onnxruntime])
def test_no_matrix_of_the_rank_is_nearer(compressed: Compress) -> None:
    rng = np.random.default_rng(1)
    left, right = rng.normal(size=(12, 9)), rng.normal(size=(12, 10))
    kept = compressed(left, right, 3)
    sigma = np.linalg.svd(left.T @ right, compute_uv=False)
    assert (kept.left.shape, kept.right.shape) == ((3, 9), (3, 10))
    assert kept.squared_error == pytest.approx(float((sigma[3:] ** 2).sum()))
    assert kept.squared_norm == pytest.approx(float((sigma**2).sum()))
    assert np.linalg.norm(left.T @ right - kept.left.T @ kept.right) ** 2 == pytest.approx(kept.squared_error)


@pytest.mark.parametrize("compressed", [with_torch, with_onnxruntime])
@pytest.mark.parametrize(("T", "D_out", "D_in"), [(3, 5, 4), (9, 5, 4), (9, 4, 5)])
@pytest.mark.parametrize("rank", [None, 9])
def test_a_rank_that_is_no_bound_loses_nothing(
    compressed: Compress, T: int, D_out: int, D_in: int, rank: int | None
) -> None:
    """Broken by: the sides of a product exchanged; rows that are more than the smallest of T, D_out and D_in."""
    rng = np.random.default_rng(2)
    left, right = rng.normal(size=(T, D_out)), rng.normal(size=(T, D_in))
    kept = compressed(left, right, rank)
    np.testing.assert_allclose(kept.left.T @ kept.right, left.T @ right, rtol=1e-12)
    assert (len(kept.left), kept.squared_error) == (min(T, D_out, D_in), 0.0)
    assert kept.squared_norm == (1.0 if rank is None else pytest.approx(float(((left.T @ right) ** 2).sum())))


def test_the_squared_norm_of_large_gradients_is_finite() -> None:
    """Broken by: squares of float32 numbers in float32."""
    left = torch.full((2, 3), 1e15, dtype=torch.float32)
    arrays = TorchArrays(dtype=torch.float32, device=torch.device("cpu"))
    assert compress(left, left, 3, arrays).squared_norm == pytest.approx(3.6e61, rel=1e-5)
