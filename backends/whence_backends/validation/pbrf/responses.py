"""The responses of measurements to a pull towards training sequences, and what two approximations say they are.

Shapes: ``Q`` queries, ``P`` free weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whence_backends.validation.pbrf.conjugate_gradients import Linear, conjugate_gradients
from whence_backends.validation.pbrf.newton import Effort, minimize
from whence_backends.validation.pbrf.objective import Batch, Objective, Pull

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Response:
    """What minimizing the objective with one pull gave.

    ``per_copy`` float64 [Q] is (f(θ(ε)) - f(θˢ)) / (ε N) of each query, in nats for each copy of the point; ``None`` if
    the minimum was not reached. ``gradient`` is what is left of the objective's gradient, relative to its start;
    ``iterations`` are those of conjugate gradients.
    """

    copies: float
    per_copy: FloatArray | None
    gradient: float
    steps: int
    iterations: int


@dataclass(frozen=True, kw_only=True, eq=False)
class PointResponses:
    """The responses to one training sequence, and its influences on the queries, float64 [Q] in nats for each copy.

    ``ekfac`` is EK-FAC's, ``dot_product`` that of gradients (divided by N too), and ``gauss_newton`` that of the damped
    Gauss-Newton matrix of all tracked layers together, which is the limit of small pulls; ``None`` if its linear system
    was not solved to the tolerance.
    """

    responses: tuple[Response, ...]
    ekfac: FloatArray
    dot_product: FloatArray
    gauss_newton: FloatArray | None


@final
class ResponseFunction:
    """Responses of queries to points: their pull has ε = copies / N, the weight of a copy in a training set of N."""

    def __init__(
        self,
        objective: Objective,
        queries: Sequence[Batch],
        ekfac: Linear,
        precondition: Linear,
        *,
        training_set_size: int,
        effort: Effort,
    ) -> None:
        self._objective, self._queries, self._precondition, self._effort = objective, queries, precondition, effort
        self._size = training_set_size
        self._before = objective.log_likelihoods(None, queries)
        self._gradients = torch.stack([objective.log_likelihood_gradient(query) for query in queries])  # [Q, P]
        self._ekfac = torch.stack([ekfac(gradient) for gradient in self._gradients])

    def of(self, point: Batch, copies: Sequence[float]) -> PointResponses:
        """Return the responses to a training sequence, for each size of the pull. Each of ``queries`` is one query."""
        gradient = self._objective.log_likelihood_gradient(point)
        start = torch.zeros_like(gradient)
        linear = conjugate_gradients(
            partial(self._objective.curvature, start),
            gradient,
            self._precondition,
            tolerance=self._effort.tolerance,
            iterations=self._effort.iterations,
        )
        solved = linear.residual <= self._effort.tolerance
        return PointResponses(
            responses=tuple(self._response(point, size, linear.solution) for size in copies),
            ekfac=_array(self._ekfac @ gradient / self._size),
            dot_product=_array(self._gradients @ gradient / self._size),
            gauss_newton=_array(self._gradients @ linear.solution / self._size) if solved else None,
        )

    def _response(self, point: Batch, copies: float, direction: Tensor) -> Response:
        epsilon = copies / self._size
        pull = Pull(point=point, epsilon=epsilon)
        descent = minimize(self._objective, pull, self._precondition, epsilon * direction, self._effort)
        change = self._objective.log_likelihoods(descent.displacement, self._queries) - self._before
        return Response(
            copies=copies,
            per_copy=_array(change / copies) if descent.converged else None,
            gradient=descent.gradient,
            steps=descent.steps,
            iterations=descent.iterations,
        )


def _array(values: Tensor) -> FloatArray:
    array: FloatArray = values.double().cpu().numpy()
    return array
