"""The solvers that are held against EK-FAC, each an iterator of rows: see ``solvers.py``, which says what they are for.

Shapes: ``Q`` queries, ``N`` training sequences, ``P`` weights, ``m`` pseudo-gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import torch
from solver_curvature import GaussNewton, Product, SampledFisher, conjugate_gradients, residual
from solver_rows import Row
from solver_subject import Ekfac, Subject
from torch import Tensor

from whence_backends.ekfac.layer_factors import LayerFactors
from whence_backends.validation.pbrf.batches import token_batches

SERVED_DAMPING: Final = 0.1
TIMES: Final = (0.01, 0.1, 1.0, 10.0, 100.0)
# At the served damping; at others it ends with 10, and the exact solution says what more would give.
ITERATIONS: Final = (1, 2, 3, 5, 10, 30)
DRAWS: Final = 4
SAMPLES: Final = ("all", "a quarter")
# Tokens of a batch of the exact Gauss-Newton matrix: what 40 queries' tangents of it take stays near the cache.
GAUSS_NEWTON_TOKENS: Final = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """A subject with the gradients that are asked of it, in ``Q``, and of its training sequences, in ``T`` [N, P]."""

    subject: Subject
    Q: Tensor
    T: Tensor

    @classmethod
    def of(cls, subject: Subject) -> Question:
        """Compute the gradients."""
        return cls(subject=subject, Q=subject.query_gradients(), T=subject.training_gradients())

    def row(self, name: str, solutions: Tensor, left: Tensor | None = None) -> Row:
        """Return the influences of solutions [Q, P], in nats for each copy."""
        scores = (solutions @ self.T.T).double().numpy() / self.subject.training_set_size
        return Row(name=name, scores=scores, residual=float("nan") if left is None else float(left.mean()))

    def sample(self, name: str) -> list[int]:
        """Return the positions of a curvature sample."""
        N = self.subject.corpus.sequences
        count = {"all": N, "a quarter": N // 4}[name]
        return sorted(np.random.default_rng(0).permutation(N)[:count].tolist())

    @cached_property
    def fisher(self) -> SampledFisher:
        """The Fisher matrix of all sequences."""
        return SampledFisher(self.subject.pseudo_gradients(self.sample("all"), DRAWS))


def served(question: Question) -> Row:
    """Return the influences that are served."""
    return question.row("EK-FAC", question.subject.ekfac(SERVED_DAMPING)(question.Q))


def damped(curvature: Product, ekfac: Ekfac) -> Product:
    """Return the product with the damped curvature."""
    return lambda vectors: curvature(vectors) + ekfac.damping * vectors


def fisher_rows(question: Question, sample: str) -> Iterator[Row]:
    """Solve with a sampled Fisher matrix: conjugate gradients at each damping, and exactly."""
    positions = question.sample(sample)
    fisher = question.fisher if sample == "all" else SampledFisher(question.subject.pseudo_gradients(positions, DRAWS))
    one = question.subject.ekfac(SERVED_DAMPING).damping
    kernel = fisher.kernel(one)
    for times in TIMES:
        ekfac = question.subject.ekfac(SERVED_DAMPING * times)
        product, name = damped(fisher, ekfac), f"Fisher of {sample}, damping {SERVED_DAMPING * times:g}"
        for at in conjugate_gradients(product, question.Q, ekfac, ITERATIONS if times == 1 else ITERATIONS[:-1]):
            yield question.row(f"{name}, {at.iterations} iterations", at.solutions, at.residual)
        solved = fisher.solve(question.Q, one, kernel, times)
        yield question.row(f"{name}, solved", solved, residual(product, solved, question.Q))


def empirical_rows(question: Question) -> Iterator[Row]:
    """Solve exactly with the empirical Fisher matrix, that of the data's own labels (TRAK has it of projections)."""
    fisher, one = SampledFisher(question.T.clone()), question.subject.ekfac(SERVED_DAMPING).damping
    kernel = fisher.kernel(one)
    for times in TIMES:
        yield question.row(
            f"empirical Fisher, damping {SERVED_DAMPING * times:g}", fisher.solve(question.Q, one, kernel, times)
        )


def gauss_newton(question: Question, sample: str) -> GaussNewton:
    """Return the exact Gauss-Newton matrix of a sample."""
    subject = question.subject
    sequences = subject.corpus.tokens_at(question.sample(sample))
    start = subject.weights.start
    batches = token_batches(sequences, GAUSS_NEWTON_TOKENS, start.device, start.dtype)
    return GaussNewton(subject.model.model, subject.weights, batches)


def gauss_newton_rows(
    question: Question, sample: str, times: float, iterations: Collection[int], watched: Callable[[Product], Product]
) -> Iterator[Row]:
    """Solve with the exact Gauss-Newton matrix; ``watched`` shows its products as they come."""
    ekfac = question.subject.ekfac(SERVED_DAMPING * times)
    product = damped(watched(gauss_newton(question, sample)), ekfac)
    for at in conjugate_gradients(product, question.Q, ekfac, iterations):
        name = f"Gauss-Newton of {sample}, damping {SERVED_DAMPING * times:g}, {at.iterations} iterations"
        yield question.row(name, at.solutions, at.residual)


def metric_rows(question: Question, v: Tensor) -> Iterator[Row]:
    """Solve in the metric of Adam, whose running means of squared gradients are ``v`` [P].

    An Adam step divides a gradient by √v; bergson divides both gradients by it. EK-FAC in a metric is fitted to
    gradients that are divided by the metric's root, as matrices, with the labels of the model.
    """
    Q, subject, rows = question.Q, question.subject, question.fisher.rows
    metrics = {"none": torch.ones_like(v), "√v": v.sqrt() + 1e-8, "v": (v.sqrt() + 1e-8).square()}
    for name, metric in metrics.items():
        if name != "none":
            yield question.row(f"gradients over {name} of Adam", Q / metric)
        inverse = Ekfac(subject.weights, ekfac_of_matrices(question, rows / metric.sqrt()), SERVED_DAMPING)
        root = metric.sqrt()
        yield question.row(f"EK-FAC of matrices, metric {name}", inverse(Q / root) / root)
    one = subject.ekfac(SERVED_DAMPING).damping
    in_metric = torch.cat(
        [(part * root / root.mean()).reshape(-1) for part, root in _pairs(subject, one, metrics["√v"])]
    )
    kernel = question.fisher.kernel(in_metric)
    for times in TIMES:
        solved = question.fisher.solve(Q, in_metric, kernel, times)
        yield question.row(f"Fisher of all, damping {SERVED_DAMPING * times:g} in the metric √v, solved", solved)


def _pairs(subject: Subject, first: Tensor, second: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(subject.weights.layers(first), subject.weights.layers(second), strict=True)


def ekfac_of_matrices(question: Question, rows: Tensor) -> list[LayerFactors[Tensor]]:
    """Return EK-FAC factors of gradients as matrices, of ``rows`` [m, P] whose squares sum to a mean.

    The bases are those of E[GᵀG] and E[GGᵀ], not of tokens, so that gradients of any metric have them.
    """
    factors = []
    for spec, part in zip(question.subject.weights.specs, rows.split(_sizes(question), dim=1), strict=True):
        G = part.reshape(-1, spec.d_out, spec.d_in)
        Q_A = torch.linalg.eigh(torch.einsum("moi,moj->ij", G, G).double())[1].to(G)
        Q_S = torch.linalg.eigh(torch.einsum("moi,mpi->op", G, G).double())[1].to(G)
        Lambda = (Q_S.T @ G @ Q_A).square().sum(dim=0)
        factors.append(LayerFactors(Q_A=Q_A, Q_S=Q_S, Lambda=Lambda, mean=float(Lambda.mean())))
    return factors


def _sizes(question: Question) -> list[int]:
    return [spec.d_out * spec.d_in for spec in question.subject.weights.specs]
