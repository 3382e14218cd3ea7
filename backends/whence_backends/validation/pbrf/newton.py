"""Minimizing the objective by inexact Newton steps within a trust region, each from conjugate gradients.

Steihaug 1983; Nocedal and Wright, Algorithms 4.1 and 7.2. The Hessian is the whole one: with the Gauss-Newton matrix
instead, steps overshoot by what it leaves out, and converge slowly or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final, final

import torch
from torch import Tensor

from whence_backends.validation.pbrf.conjugate_gradients import Linear, LinearSolution, Size, conjugate_gradients
from whence_backends.validation.pbrf.objective import Evaluation, Objective, Pull

# A step is taken if the objective falls by at least this share of what was promised.
_ENOUGH: Final = 0.1
# Promises below this share of the whole fall drown in rounding; gradients decide then, which are more precise.
_ROUNDING: Final = 1e-6


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How far the objective is minimized.

    ``tolerance`` is the largest gradient, relative to that at the start, at which a minimum is found; ``steps`` bounds
    Newton steps, ``iterations`` those of conjugate gradients in all of them, and ``forcing`` is what a step leaves of
    its linear system.
    """

    tolerance: float = 1e-4
    steps: int = 60
    iterations: int = 1000
    forcing: float = 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class Descent:
    """Where a minimization ended: the displacement [P], and what is known of it.

    ``gradient`` is the norm of the objective's gradient relative to that at the start, ``change`` the objective less
    its value there, ``iterations`` those of conjugate gradients.
    """

    displacement: Tensor
    gradient: float
    change: float
    steps: int
    iterations: int
    tolerance: float

    @property
    def converged(self) -> bool:
        """Whether this is a minimum: the gradient has vanished to the tolerance, and the objective has fallen."""
        return self.gradient <= self.tolerance and self.change <= 0


def minimize(objective: Objective, pull: Pull, precondition: Linear, first: Tensor, effort: Effort) -> Descent:
    """Minimize the objective from ``first`` [P], or from 0 if lower. Return where it ended, converged or not."""
    walk = _Walk(objective, pull, precondition, first)
    while walk.gradient > effort.tolerance and walk.steps < effort.steps and walk.iterations < effort.iterations:
        walk.step(
            conjugate_gradients(
                partial(objective.hessian, walk.displacement, pull=pull),
                -walk.at.gradient,
                precondition,
                tolerance=max(effort.forcing, 0.3 * effort.tolerance / walk.gradient),
                iterations=effort.iterations - walk.iterations,
                radius=walk.radius,
            )
        )
    return Descent(
        displacement=walk.displacement,
        gradient=walk.gradient,
        change=walk.at.change,
        steps=walk.steps,
        iterations=walk.iterations,
        tolerance=effort.tolerance,
    )


@final
class _Walk:
    """The state of a minimization: the displacement, what is known there, and the radius that is trusted."""

    def __init__(self, objective: Objective, pull: Pull, precondition: Linear, first: Tensor) -> None:
        self._objective, self._pull, self._precondition = objective, pull, precondition
        start = -pull.epsilon * objective.log_likelihood_gradient(pull.point)
        self._size = Size(start, precondition(start))
        self.displacement, self.at = first, objective.evaluate(first, pull)
        self.radius = max(abs(float(first @ start)), float(start @ precondition(start))) ** 0.5
        if self.at.change > 0:
            self.displacement = torch.zeros_like(first)
            self.at = Evaluation(change=0.0, gradient=start)
        self.gradient = self._relative(self.at)
        self.steps = self.iterations = 0

    def step(self, solved: LinearSolution) -> None:
        """Take the step that was solved for if it keeps what it promised, and trust it the more or the less."""
        self.steps, self.iterations = self.steps + 1, self.iterations + solved.iterations
        there = self._objective.evaluate(self.displacement + solved.solution, self._pull)
        kept = (self.at.change - there.change) / solved.decrease if solved.decrease > 0 else 0.0
        gradient = self._relative(there)
        if solved.decrease <= _ROUNDING * abs(self.at.change):
            kept = float(gradient < self.gradient)
        if kept < 0.25:
            self.radius = solved.length / 4
        elif kept > 0.75 and solved.at_edge:
            self.radius *= 2
        if kept >= _ENOUGH:
            self.displacement, self.at, self.gradient = self.displacement + solved.solution, there, gradient

    def _relative(self, at: Evaluation) -> float:
        return self._size(at.gradient, self._precondition(at.gradient))
