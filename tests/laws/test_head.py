"""The measurement where it enters the network: finite however improbable a token, and no impossible token drawn."""

from __future__ import annotations

import math

import pytest
import torch

from whence_backends.ekfac.head import Head, Targets


def drawn(logits: list[float], u: float, dtype: torch.dtype = torch.float32) -> float:
    """Return log p of the label that the uniform ``u`` draws."""
    targets = Targets(weights=torch.ones(1, dtype=torch.float64), uniforms=torch.tensor([u], dtype=torch.float64))
    rows = torch.tensor([logits], dtype=dtype)
    return float(Head(None, None).pull_back(rows, targets).log_probabilities)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("u", [0.0, 0.5, 0.999, 1 - 1e-7, 1 - 2**-25, 1 - 1e-9, 1 - 2**-53])
def test_a_token_without_probability_is_never_drawn(u: float, dtype: torch.dtype) -> None:
    """Broken by: a uniform that rounds to 1, which draws the vocabulary's last token."""
    possible = [0.0] * 5
    assert drawn([-1e4, *possible, -1e4, -1e4], u, dtype) == pytest.approx(-math.log(5), rel=1e-2)


def test_uniforms_draw_tokens_in_proportion_to_their_probabilities() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0]]).expand(40_000, 4)
    uniforms = torch.arange(40_000, dtype=torch.float64) / 40_000
    targets = Targets(weights=torch.ones(40_000, dtype=torch.float64), uniforms=uniforms)
    log_p = Head(None, None).pull_back(logits.contiguous(), targets).log_probabilities
    values, counts = log_p.unique(return_counts=True)
    torch.testing.assert_close(counts.double() / 40_000, values.exp().double(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("nats", [90.0, 300.0, 5_000.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_improbable_token_has_a_finite_log_probability(nats: float, dtype: torch.dtype) -> None:
    """Broken by: the logarithm of a softmax, which is 0 in float32 beyond 103 nats."""
    rows = torch.tensor([[nats, 0.0, 0.0]], dtype=dtype)
    targets = Targets(weights=torch.ones(1, dtype=torch.float64), labels=torch.tensor([1]))
    pulled = Head(None, None).pull_back(rows, targets)
    assert float(pulled.log_probabilities) == pytest.approx(-nats, rel=1e-6)
    torch.testing.assert_close(pulled.gradient, torch.tensor([[-1.0, 1.0, 0.0]], dtype=dtype), atol=1e-30, rtol=1e-6)


def test_log_probabilities_are_those_of_log_softmax() -> None:
    rows = torch.randn(50, 61, generator=torch.Generator().manual_seed(0)) * 20
    labels = torch.arange(50)
    targets = Targets(weights=torch.ones(50, dtype=torch.float64), labels=labels)
    want = torch.log_softmax(rows.double(), dim=-1).gather(1, labels.unsqueeze(1)).squeeze(1)
    got = Head(None, None).pull_back(rows, targets).log_probabilities
    torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6)
