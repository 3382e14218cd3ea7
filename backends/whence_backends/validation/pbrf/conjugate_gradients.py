"""Preconditioned conjugate gradients (Nocedal and Wright, Algorithm 5.3), within a radius if there is one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import Tensor

Linear = Callable[[Tensor], Tensor]


@final
class Size:
    """The size of a gradient relative to a first one: the larger of two ratios of norms.

    One norm is Euclid's, the other that of the preconditioner M, √(rᵀ M r). What is left of a gradient r moves a
    measurement by |∇fᵀ H⁻¹ r|, at most √(∇fᵀ H⁻¹ ∇f) √(rᵀ H⁻¹ r): the second norm estimates that, as M is near H⁻¹.
    """

    def __init__(self, first: Tensor, preconditioned: Tensor) -> None:
        self._norms = float(first.norm()), math.sqrt(max(float(first @ preconditioned), 0.0))

    def __call__(self, gradient: Tensor, preconditioned: Tensor) -> float:
        """Return the size of a gradient [P], given its product with the preconditioner; 0 if the first was 0."""
        euclid, ours = self._norms
        if euclid == 0:
            return 0.0
        return max(float(gradient.norm()) / euclid, math.sqrt(max(float(gradient @ preconditioned), 0.0)) / ours)


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearSolution:
    """What conjugate gradients found.

    ``solution`` [P], the ``iterations`` made, and the ``residual`` that is left (:class:`Size`). ``decrease`` is that
    of the quadratic ½ xᵀ H x - xᵀ right, ``length`` the solution's norm in the inverse of the preconditioner, and
    ``at_edge`` says that the radius, or negative curvature, has ended it.
    """

    solution: Tensor
    iterations: int
    residual: float
    decrease: float
    length: float
    at_edge: bool


def conjugate_gradients(
    product: Linear, right: Tensor, precondition: Linear, *, tolerance: float, iterations: int, radius: float = math.inf
) -> LinearSolution:
    """Solve product(x) = right for a symmetric product, until the residual is at most ``tolerance``.

    Ends without reaching it after ``iterations``, at a solution as long as ``radius``, and, at that length, along a
    direction in which the product is not positive (Steihaug 1983; Conn, Gould and Toint 2000, Algorithm 7.5.1): the
    residual says so.
    """
    x, r = right.new_zeros(right.shape), right.clone()
    z = precondition(r)
    size, d, rz = Size(r, z), z, float(r @ z)
    # Norms in the inverse of the preconditioner, by recurrence: of x, of d, and between both.
    xx, xd, dd = 0.0, 0.0, rz
    residual, decrease, done = size(r, z), 0.0, 0
    while residual > tolerance and done < iterations:
        Hd = product(d)
        curvature, done = float(d @ Hd), done + 1
        step = rz / curvature if curvature > 0 else math.inf
        at_edge = xx + 2 * step * xd + step**2 * dd >= radius**2 if math.isfinite(step) else True
        if at_edge and math.isinf(radius):
            break  # not positive definite, and nowhere to end
        if at_edge:
            step = (math.sqrt(xd**2 + dd * (radius**2 - xx)) - xd) / dd
        x, r = x + step * d, r - step * Hd
        z = precondition(r)
        residual, decrease = size(r, z), decrease + step * rz - step**2 * curvature / 2
        xx, xd = xx + 2 * step * xd + step**2 * dd, xd + step * dd
        if at_edge:
            return LinearSolution(
                solution=x, iterations=done, residual=residual, decrease=decrease, length=radius, at_edge=True
            )
        beta, rz = float(r @ z) / rz, float(r @ z)
        d, xd, dd = z + beta * d, beta * xd, rz + beta**2 * dd
    return LinearSolution(
        solution=x, iterations=done, residual=residual, decrease=decrease, length=math.sqrt(xx), at_edge=False
    )
