"""Small nets whose EK-FAC factors the production code makes from traces: where EK-FAC is exact, and where it is not."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from whence_backends.contract import LayerSpec
from whence_backends.ekfac.layer_factors import LayerFactors
from whence_backends.ekfac.statistics import CorrectedEigenvalues, Covariances, eigenbasis
from whence_backends.ekfac.trace import Tracer, TrackedLayer, linear_spec


def deep_linear_net(*widths: int, bias: bool) -> tuple[nn.Sequential, list[TrackedLayer]]:
    torch.manual_seed(3)
    net = nn.Sequential(*(nn.Linear(i, o, bias=bias) for i, o in itertools.pairwise(widths))).double()
    layers = [TrackedLayer(spec=linear_spec(name, module), module=module) for name, module in net.named_children()]
    return net.requires_grad_(False), layers


def correlated_inputs(count: int, width: int) -> Tensor:
    """Inputs [count, 1, width] with strongly correlated coordinates."""
    generator = torch.Generator().manual_seed(5)
    mix = torch.randn(width, width, generator=generator, dtype=torch.float64)
    return (torch.randn(count, 1, width, generator=generator, dtype=torch.float64) @ mix + 0.5).double()


def traces(net: nn.Module, layers: list[TrackedLayer], inputs: Tensor, upstream: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Each layer's (a, s) where ``upstream`` is the gradient at the net's output."""
    found: dict[int, tuple[Tensor, Tensor]] = {}
    with Tracer(layers, tuple(inputs.shape[:2]), lambda index, a, s: found.update({index: (a, s)})):
        net(inputs).backward(upstream)
    return [found[index] for index in range(len(layers))]


def fisher_traces(net: nn.Module, layers: list[TrackedLayer], inputs: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Traces whose gradients' second moment is the exact Fisher of squared error: one pass for each output unit."""
    width = net(inputs).shape[-1]
    units = torch.eye(width, dtype=torch.float64)
    passes = [traces(net, layers, inputs, unit.expand(len(inputs), 1, width)) for unit in units]
    return [tuple(torch.cat([p[i][part] for p in passes]) for part in (0, 1)) for i in range(len(layers))]  # type: ignore[misc]


def ekfac(specs: tuple[LayerSpec, ...], of: list[tuple[Tensor, Tensor]]) -> list[LayerFactors[Tensor]]:
    """Factors by the production code, from traces."""
    covariances = Covariances(specs, torch.device("cpu"), torch.float64)
    for index, (a, s) in enumerate(of):
        covariances.add(index, a, s, torch.ones(a.shape[:2], dtype=torch.bool))
    Q_A = [eigenbasis(A)[1] for A in covariances.A]
    Q_S = [eigenbasis(S)[1] for S in covariances.S]
    corrected = CorrectedEigenvalues(specs, Q_A, Q_S, torch.float64)
    for index, (a, s) in enumerate(of):
        corrected.add(index, a, s)
    counts = [len(a) for a, _ in of]
    Lambdas = [total / count for total, count in zip(corrected.sums, counts, strict=True)]
    return [
        LayerFactors(Q_A=Q_A[i], Q_S=Q_S[i], Lambda=Lambda, mean=float(Lambda.mean()))
        for i, Lambda in enumerate(Lambdas)
    ]
