"""Laws of the factors (``whence fit``) against the dense oracle, in float64 on tiny models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import data
import tiny_models
from conftest import ARCHITECTURES
from dense_oracle import DenseOracle
from whence_backends.contract import TokenSequence
from whence_backends.ekfac.batch import uniforms
from whence_backends.ekfac.factors import Factors, basis_file
from whence_backends.fit import FitConfig, fit

Folder = Callable[[str], Path]


def fitted(model: Path, out: Path, items: Sequence[TokenSequence], **options: object) -> Factors:
    settings = {"precision": "float64", "device": "cpu", "batch_tokens": 96, "tracked": "all-linear", **options}
    return fit(FitConfig(model=str(model), out=out, **settings), data.InMemory(items))


def curvature(factors: Factors, index: int) -> torch.Tensor:
    """The layer's dense EK-FAC matrix: unlike eigenvectors, it does not depend on signs or on the order of ties."""
    arrays = factors.layer(index)
    Q = np.kron(arrays.Q_S, arrays.Q_A)
    return torch.from_numpy(Q @ np.diag(arrays.Lambda.reshape(-1)) @ Q.T)


def assert_same_curvature(factors: Factors, dense: list) -> None:
    for index, expected in enumerate(dense):
        Q = torch.kron(expected.Q_S, expected.Q_A)
        want = Q @ torch.diag(expected.Lambda.reshape(-1)) @ Q.T
        torch.testing.assert_close(curvature(factors, index), want, rtol=1e-7, atol=1e-9 * float(want.abs().max()))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_padded_batch_with_sampled_labels_fits_what_each_sequence_fits_alone(
    architecture: str, model_folder: Folder, tmp_path: Path
) -> None:
    """Broken by: sampling labels, or taking A and S, at padding; losing the bias column; Q where Qᵀ is meant."""
    items = data.sequences(16)
    factors = fitted(model_folder(architecture), tmp_path / "factors", items)
    oracle = DenseOracle(AutoModelForCausalLM.from_pretrained(model_folder(architecture)), factors.card.layers)
    labels = [
        [oracle.sampled_labels(item, uniforms(0, stream, [i], 32)[0]) for i, item in enumerate(items)]
        for stream in (0, 1)
    ]
    assert_same_curvature(factors, oracle.basis(items, labels[0], items, labels[1]))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_empirical_labels_fit_the_gradients_of_the_data(
    architecture: str, model_folder: Folder, tmp_path: Path
) -> None:
    """Broken by: sampling although the data's labels were asked for."""
    items = data.sequences(12, seed=3)
    factors = fitted(model_folder(architecture), tmp_path / "factors", items, labels="empirical")
    oracle = DenseOracle(AutoModelForCausalLM.from_pretrained(model_folder(architecture)), factors.card.layers)
    assert_same_curvature(factors, oracle.factors(items, [None] * len(items)))


def test_the_factors_do_not_depend_on_how_sequences_are_batched(model_folder: Folder, tmp_path: Path) -> None:
    """Broken by: numbering the random labels by batch instead of by position in the corpus."""
    items = data.sequences(16)
    small = fitted(model_folder("llama"), tmp_path / "small", items, batch_tokens=20)
    large = fitted(model_folder("llama"), tmp_path / "large", items, batch_tokens=1000)
    for index in range(len(small.card.layers)):
        want = curvature(large, index)
        torch.testing.assert_close(curvature(small, index), want, rtol=1e-7, atol=1e-9 * float(want.abs().max()))


def test_a_prompt_mask_changes_the_corrected_eigenvalues(model_folder: Folder, tmp_path: Path) -> None:
    """Broken by: measuring every token although the prompt's weights are 0."""
    whole = [data.sequence(12, seed) for seed in range(8)]
    masked = [data.sequence(12, seed, masked=5) for seed in range(8)]
    of_whole = fitted(model_folder("llama"), tmp_path / "whole", whole)
    of_masked = fitted(model_folder("llama"), tmp_path / "masked", masked)
    assert curvature(of_masked, 0).trace() < 0.9 * curvature(of_whole, 0).trace()


def test_masked_positions_are_left_out_of_the_covariances(model_folder: Folder, tmp_path: Path) -> None:
    """Broken by: taking A over all real tokens, the prompt's included."""
    items = [data.sequence(12, seed, masked=5) for seed in range(6)]
    factors = fitted(model_folder("gpt2"), tmp_path / "factors", items, labels="empirical")
    oracle = DenseOracle(AutoModelForCausalLM.from_pretrained(model_folder("gpt2")), factors.card.layers)
    expected = oracle.factors(items, [None] * len(items))[0].A
    eigenvalues = load_file(tmp_path / "factors" / basis_file(0))["eigenvalues_A"]
    valid_tokens = 6 * 6
    torch.testing.assert_close(eigenvalues / valid_tokens, torch.linalg.eigvalsh(expected), rtol=1e-8, atol=1e-10)


def test_the_card_says_what_was_fitted_and_what_was_left_out(model_folder: Folder, tmp_path: Path) -> None:
    items = data.sequences(10)
    card = fitted(model_folder("gpt2"), tmp_path / "factors", items, tracked="mlp", max_sequences=7, seed=5).card
    assert (card.training_set_size, card.fitted_sequences, card.labels, card.seed) == (10, 7, "sampled", 5)
    assert [layer.name for layer in card.layers][:2] == ["transformer.h.0.mlp.c_fc", "transformer.h.0.mlp.c_proj"]
    attributed = sum(layer.d_in * layer.d_out for layer in card.layers)
    assert attributed + sum(card.unattributed.values()) == card.parameters
    assert card.unattributed["transformer.wte"] == tiny_models.VOCABULARY * 16
