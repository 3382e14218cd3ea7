"""Where EK-FAC is exact it must equal a dense damped solve: deep linear nets with squared error, and a single datum.

The data's second moments are far from axis-aligned and no two widths agree, so a transposed basis cannot pass.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from small_nets import correlated_inputs, deep_linear_net, ekfac, fisher_traces, traces
from whence_backends.contract import Detail, LayerSpec
from whence_backends.ekfac.influence import layer_scores, precondition
from whence_backends.ekfac.layer_factors import LayerFactors
from whence_backends.ekfac.rotation import rotated_gradients
from whence_backends.ekfac.trace import TrackedLayer, linear_spec


def dense_solve(gradients: Tensor, G: Tensor, damping_factor: float) -> Tensor:
    """(F + λI)⁻¹ G with F = E[vec(G) vec(G)ᵀ] and λ = damping_factor · mean of F's diagonal (its mean eigenvalue)."""
    flat = gradients.reshape(len(gradients), -1)
    F = flat.T @ flat / len(flat)
    damping = damping_factor * F.diagonal().mean()
    return torch.linalg.solve(F + damping * torch.eye(len(F), dtype=F.dtype), G.reshape(-1)).view_as(G)


def preconditioned(factors: LayerFactors[Tensor], a: Tensor, s: Tensor, damping_factor: float) -> Tensor:
    return precondition(s @ factors.Q_S, a @ factors.Q_A, factors, damping_factor)


def assert_exact(net: nn.Module, layers: list[TrackedLayer], of: list[tuple[Tensor, Tensor]]) -> None:
    factors = ekfac(tuple(layer.spec for layer in layers), of)
    for index, (a, s) in enumerate(of):
        gradients = s.transpose(1, 2) @ a
        got = preconditioned(factors[index], a[0], s[0], 0.1)
        torch.testing.assert_close(got, dense_solve(gradients, gradients[0], 0.1), rtol=1e-8, atol=1e-10)


def test_a_deep_linear_net_with_squared_error_is_solved_exactly() -> None:
    """Broken by: eigenvectors taken as rows; Λ not corrected; damping not relative to the mean of Λ."""
    net, layers = deep_linear_net(5, 4, 3, bias=False)
    assert_exact(net, layers, fisher_traces(net, layers, correlated_inputs(40, 5)))


def test_the_bias_is_the_last_column_and_solved_exactly_too() -> None:
    """Broken by: a bias appended elsewhere, or flattened into the rows; a bias left out."""
    net, layers = deep_linear_net(6, 3, 2, bias=True)
    of = fisher_traces(net, layers, correlated_inputs(40, 6))
    assert [a.shape[-1] for a, _ in of] == [7, 4]
    assert all(bool((a[..., -1] == 1).all()) for a, _ in of)
    assert_exact(net, layers, of)


def test_a_single_datum_is_solved_exactly() -> None:
    """Broken by: normalising A and S differently; a basis that does not hold the datum's own direction."""
    net, layers = deep_linear_net(5, 4, 3, bias=True)
    upstream = torch.tensor([[[0.3, -1.0, 0.7]]], dtype=torch.float64)
    assert_exact(net, layers, traces(net, layers, correlated_inputs(1, 5), upstream))


def test_the_score_is_the_gradients_product_with_the_solve() -> None:
    """Broken by: contracting transposed matrices."""
    net, layers = deep_linear_net(5, 4, 3, bias=True)
    of = fisher_traces(net, layers, correlated_inputs(12, 5))
    for (a, s), factors in zip(of, ekfac(tuple(layer.spec for layer in layers), of), strict=True):
        gradients = s.transpose(1, 2) @ a
        V = torch.stack([preconditioned(factors, a[i], s[i], 0.1) for i in range(3)])
        want = torch.einsum("qoi,boi->qb", V, gradients)
        torch.testing.assert_close(layer_scores(V, a, s, Detail.TOTAL), want)
        torch.testing.assert_close(layer_scores(V[:1], a, s, Detail.TOTAL), want[:1])


class Reused(nn.Module):
    """One layer used twice in a pass, over sequences of tokens, in three dimensions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.shared = nn.Linear(4, 4).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.shared(torch.tanh(self.shared(x)))


def test_a_module_used_twice_has_the_gradient_autograd_gives() -> None:
    """Broken by: overwriting the first use's trace with the second's."""
    net = Reused()
    inputs = torch.randn(3, 5, 4, dtype=torch.float64)
    net.requires_grad_(True)
    want = []
    for row in inputs:
        net.zero_grad()
        net(row).sum().backward()
        want.append(torch.cat([net.shared.weight.grad, net.shared.bias.grad.unsqueeze(1)], dim=1))
    net.zero_grad()
    net.requires_grad_(False)
    layers = [TrackedLayer(spec=linear_spec("shared", net.shared), module=net.shared)]
    [(a, s)] = traces(net, layers, inputs, torch.ones_like(inputs))
    assert a.shape == (3, 10, 5)
    torch.testing.assert_close(s.transpose(1, 2) @ a, torch.stack(want))


def test_layers_of_very_different_scale_are_each_damped_by_their_own_eigenvalues() -> None:
    """Broken by: using the first layer's damping for all, which would crush the smaller layer's influence."""
    generator = torch.Generator().manual_seed(0)
    specs = tuple(LayerSpec(name=str(i), d_in=4, d_out=3, bias=False) for i in range(2))
    of = [
        tuple(torch.randn(20, 6, width, generator=generator, dtype=torch.float64) * scale for width in (4, 3))
        for scale in (100.0, 1.0)
    ]
    for (a, s), factors in zip(of, ekfac(specs, of), strict=True):  # type: ignore[arg-type]
        assert factors.damping(0.1) == pytest.approx(0.1 * float(factors.Lambda.mean()))
        own = (preconditioned(factors, a[0], s[0], 0.1) * (s[0].T @ a[0])).sum()
        assert 0.1 < float(own) < 20  # of order one in either layer, although Λ differs by 1e16


def test_rotating_tokens_or_gradients_gives_the_same_corrected_eigenvalues() -> None:
    """Broken by: a transposed rotation in the branch for long sequences."""
    specs = (LayerSpec(name="l", d_in=4, d_out=3, bias=False),)
    generator = torch.Generator().manual_seed(0)
    a, s = (torch.randn(2, 40, width, generator=generator, dtype=torch.float64) for width in (4, 3))
    [factors] = ekfac(specs, [(a, s)])
    rotated = torch.stack([factors.Q_S.T @ (s[b].T @ a[b]) @ factors.Q_A for b in range(2)])
    torch.testing.assert_close(factors.Lambda, rotated.square().mean(dim=0))


@pytest.mark.parametrize("each_side", [True, False])
@pytest.mark.parametrize("T", [2, 5, 9], ids=["shorter than both widths", "between them", "longer"])
@pytest.mark.parametrize(("D_in", "D_out"), [(7, 4), (4, 7)])
def test_a_gradient_is_rotated_the_same_by_its_tokens_or_by_its_product(
    D_in: int, D_out: int, T: int, each_side: bool
) -> None:
    """Broken by: Q where Qᵀ is meant, on either side, in any order."""
    generator = torch.Generator().manual_seed(0)
    a, s, Q_A, Q_S = (
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((3, T, D_in), (3, T, D_out), (D_in, D_in), (D_out, D_out))
    )
    want = torch.einsum("op,bto,bti,ij->bpj", Q_S, s, a, Q_A)
    torch.testing.assert_close(rotated_gradients(a, s, Q_A, Q_S, each_side=each_side), want)
