"""From query gradients to preconditioned queries, and from these to influences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import torch
from torch import Tensor

from whence_backends.contract import Detail
from whence_backends.ekfac.budgets import GRADIENTS, QUERIES
from whence_backends.ekfac.layer_factors import LayerFactors
from whence_backends.ekfac.low_rank import LowRank, range_noise, truncate_weighted, weighted_square, worthwhile
from whence_backends.ekfac.preconditioned import LowRankQueries

# One layer's V [Q, D_out, D_in], whole or in a bounded rank.
Queries: TypeAlias = Tensor | LowRankQueries[Tensor]


def damped(factors: LayerFactors[Tensor], damping_factor: float) -> Tensor:
    """Return Λ + λ [D_out, D_in] with the layer's own λ; infinite, so that influence is 0, for a dead layer."""
    return factors.Lambda + factors.damping(damping_factor)


def precondition(left: Tensor, right: Tensor, factors: LayerFactors[Tensor], damping_factor: float) -> Tensor:
    """Return V = Q_S [(leftᵀ right) ⊘ (Λ + λ)] Q_Aᵀ [D_out, D_in].

    Rotating back costs D_in·D_out·(D_in + D_out) multiplications, once per query; rotating every training
    sequence instead would cost T·(D_in² + D_out²) each.
    """
    return factors.Q_S @ ((left.T @ right) / damped(factors, damping_factor)) @ factors.Q_A.T


def precondition_low_rank(
    gradients: Sequence[tuple[Tensor, Tensor]], factors: LayerFactors[Tensor], damping_factor: float, rank: int
) -> tuple[Queries, list[float], list[float]]:
    """Return V of queries as in :func:`precondition`, truncated to ``rank``.

    ``gradients`` are the queries' (left, right). Also returns each query's squared error and squared norm
    (:mod:`whence_backends.ekfac.low_rank`). V is kept whole if two factors would take as much memory.
    """
    Lambda, total = factors.Lambda, damped(factors, damping_factor)
    divided = ((left.T @ right) / total for left, right in gradients)  # one V at a time, which may be large
    if not worthwhile(rank, *Lambda.shape):
        norms = [weighted_square(V, Lambda) for V in divided]
        whole = torch.stack([precondition(left, right, factors, damping_factor) for left, right in gradients])
        return whole, [0.0] * len(gradients), norms
    noise = torch.from_numpy(range_noise(factors.Q_A.shape[0], rank)).to(factors.Q_A)
    truncated = [_rotated_back(truncate_weighted(V, Lambda, rank, torch.linalg, noise), factors) for V in divided]
    queries = LowRankQueries(
        left=torch.stack([query.left for query in truncated]), right=torch.stack([query.right for query in truncated])
    )
    return queries, [query.squared_error for query in truncated], [query.squared_norm for query in truncated]


def _rotated_back(query: LowRank, factors: LayerFactors[Tensor]) -> LowRank:
    return replace(query, left=query.left @ factors.Q_S.T, right=query.right @ factors.Q_A.T)


def layer_scores(V: Queries, a: Tensor, s: Tensor, detail: Detail) -> Tensor:
    """Return one layer's ⟨V_q, G_b⟩ as float64 [Q, B], or by token as [Q, B, T] for ``LAYERS_TOKENS``.

    a [B, T, D_in], s [B, T, D_out]. Queries of a bounded rank are multiplied out, as many at a time as the budget
    holds: Q·rank·D_in·D_out multiplications for the whole batch.
    """
    if isinstance(V, LowRankQueries):
        (Q, _, D_out), D_in = V.left.shape, V.right.shape[2]
        step = QUERIES.at_once(a.device.type, D_out * D_in)
        chunks = (slice(start, start + step) for start in range(0, Q, step))
        return torch.cat(
            [_whole_scores(V.left[chunk].transpose(1, 2) @ V.right[chunk], a, s, detail) for chunk in chunks]
        )
    return _whole_scores(V, a, s, detail)


def _whole_scores(V: Tensor, a: Tensor, s: Tensor, detail: Detail) -> Tensor:
    """Return the scores for V [Q, D_out, D_in].

    Applying V to the tokens costs Q·B·T·D_in·D_out multiplications, and is done for one query or for scores by token.
    Forming the gradients first costs B·(T + Q)·D_in·D_out.
    """
    if detail is Detail.LAYERS_TOKENS:
        return torch.stack([_by_token(v, a, s) for v in V])
    if V.shape[0] == 1:
        return _by_token(V[0], a, s).sum(dim=-1).unsqueeze(0)
    return _by_gradient(V, a, s)


def _by_token(v: Tensor, a: Tensor, s: Tensor) -> Tensor:
    """Return s_tᵀ V a_t as float64 [B, T]."""
    products = (a @ v.T.to(a.dtype)).mul_(s)
    wide = products.dtype if products.dtype == torch.float64 else torch.float32
    return products.sum(dim=-1, dtype=wide).double()


def _by_gradient(V: Tensor, a: Tensor, s: Tensor) -> Tensor:
    Q, D_out, D_in = V.shape
    flat = V.reshape(Q, D_out * D_in)
    chunk = GRADIENTS.at_once(a.device.type, D_out * D_in)
    parts: list[Tensor] = []
    for start in range(0, a.shape[0], chunk):
        G = s[start : start + chunk].transpose(1, 2) @ a[start : start + chunk]
        parts.append(flat @ G.reshape(-1, D_out * D_in).to(flat.dtype).T)
    return torch.cat(parts, dim=1).double()
