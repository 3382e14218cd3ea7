"""Regression nets as subjects of the response function: their batches, their factors and their objective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from small_nets import ekfac, traces
from whence_backends.ekfac.layer_factors import LayerFactors
from whence_backends.ekfac.trace import TrackedLayer, linear_spec
from whence_backends.validation.pbrf.ekfac_inverse import EkfacInverse
from whence_backends.validation.pbrf.losses import SquaredError
from whence_backends.validation.pbrf.newton import Effort
from whence_backends.validation.pbrf.nystrom import nystrom_inverse
from whence_backends.validation.pbrf.objective import Batch, Objective
from whence_backends.validation.pbrf.responses import ResponseFunction
from whence_backends.validation.pbrf.weights import FreeWeights


def rows(x: Tensor, y: Tensor) -> Batch:
    """Data x [n, D], y [n, V] as a batch of n sequences of a row each."""
    places = torch.arange(len(x))
    weights = torch.ones(len(x), dtype=x.dtype)
    return Batch(inputs=x, rows=places, targets=y, weights=weights, owners=places, sequences=len(x))


def linear_layers(net: nn.Module) -> list[TrackedLayer]:
    named = [(name, module) for name, module in net.named_children() if isinstance(module, nn.Linear)]
    return [TrackedLayer(spec=linear_spec(name, module), module=module) for name, module in named]  # type: ignore[arg-type]


def sampled_factors(net: nn.Module, x: Tensor, seed: int) -> list[LayerFactors[Tensor]]:
    """EK-FAC factors with labels sampled from the net's Gaussians: the residuals are standard normal."""
    layers = linear_layers(net)
    shape = (len(x), 1, net(x).shape[-1])
    residuals = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    return ekfac(tuple(layer.spec for layer in layers), traces(net, layers, x.unsqueeze(1), residuals))


class Subject:
    """A net, its training data and its factors, with the objective at one damping."""

    def __init__(
        self, net: nn.Module, x: Tensor, y: Tensor, factors: Sequence[LayerFactors[Tensor]], damping_factor: float
    ) -> None:
        def network(parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
            outputs: Tensor = functional_call(net, dict(parameters), (batch.inputs,))
            return outputs

        self.x, self.y = x, y
        self.weights = FreeWeights(linear_layers(net))
        self.ekfac = EkfacInverse(self.weights, factors, damping_factor)
        self.objective = Objective(network, SquaredError(), self.weights, [rows(x, y)], self.ekfac.damping)

    def responses(self, queries: Sequence[Batch], *, columns: int, effort: Effort) -> ResponseFunction:
        start = torch.zeros_like(self.weights.start)
        inverse = nystrom_inverse(
            lambda vector: self.objective.gauss_newton(start, vector), self.objective.damping, columns
        )
        size = len(self.x)
        return ResponseFunction(self.objective, queries, self.ekfac, inverse, training_set_size=size, effort=effort)

    def point(self, place: int) -> Batch:
        return rows(self.x[place : place + 1], self.y[place : place + 1])
