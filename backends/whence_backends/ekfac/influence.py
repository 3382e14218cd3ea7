"""From query gradients to preconditioned queries, and from these to influences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import torch
from torch import Tensor

from whence_backends.contract import Detail
from whence_backends.ekfac.damping import damping
from whence_backends.ekfac.low_rank import range_noise, truncate_weighted, weighted_square, worthwhile
from whence_backends.ekfac.storage import StoredForm, stored_form

_GRADIENT_ELEMENTS: Final = {"cpu": 1 << 22, "cuda": 1 << 27}
# Elements of queries that are kept in a bounded rank and multiplied out for one layer at a time.
_QUERY_ELEMENTS: Final = {"cpu": 1 << 26, "cuda": 1 << 28}


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerFactors:
    """One layer's EK-FAC factors: Q_A [D_in, D_in], Q_S [D_out, D_out] (eigenvectors as columns), Λ [D_out, D_in]."""

    Q_A: Tensor
    Q_S: Tensor
    Lambda: Tensor

    def damped(self, damping_factor: float) -> Tensor:
        """Return Λ + λ with this layer's own λ; infinite, so that influence is 0, where the layer has no gradients."""
        return self.Lambda + damping(float(self.Lambda.mean()), damping_factor)


@dataclass(frozen=True, kw_only=True, eq=False)
class LowRankQueries:
    """One layer's preconditioned queries in a bounded rank: V_q = left_qᵀ right_q.

    left [Q, r, D_out], right [Q, r, D_in].
    """

    left: Tensor
    right: Tensor

    def __len__(self) -> int:
        return self.left.shape[0]


# One layer's V [Q, D_out, D_in], whole or not.
Queries: TypeAlias = Tensor | LowRankQueries


def rotate_tokens(a: Tensor, s: Tensor, factors: LayerFactors) -> tuple[Tensor, Tensor]:
    """Return (s Q_S [T, D_out], a Q_A [T, D_in]) of one sequence: the rotated gradient is their product."""
    return s @ factors.Q_S, a @ factors.Q_A


def compress(left: Tensor, right: Tensor, rank: int | None) -> tuple[Tensor, Tensor, float, float]:
    """Return (left' [R, D_out], right' [R, D_in], squared error, squared norm) with left'ᵀ right' ≈ leftᵀ right.

    With ``rank`` ``None`` the product is kept without loss, in the smaller of its two forms: the factors as they are,
    or, where T exceeds a width, the product itself beside an identity. Otherwise the best approximation of that rank.
    The squared norm is computed only where ``rank`` is given, to be set against the errors of other layers; else it
    is 1.
    """
    T, D_out, D_in = left.shape[0], left.shape[1], right.shape[1]
    form = stored_form(T, D_out, D_in, rank)
    if form is not StoredForm.TRUNCATED:
        norm = 1.0 if rank is None else float(((left @ left.T).double() * (right @ right.T).double()).sum())
        return *_lossless(left, right, form), 0.0, norm
    U_left, core_left = torch.linalg.qr(left.T.double())
    U_right, core_right = torch.linalg.qr(right.T.double())
    U, sigma, Vh = torch.linalg.svd(core_left @ core_right.T)
    root = sigma[:rank].sqrt()
    kept_left = ((U_left @ U[:, :rank]) * root).T.to(left.dtype)
    kept_right = ((U_right @ Vh[:rank].T) * root).T.to(right.dtype)
    return kept_left, kept_right, float(sigma[rank:].square().sum()), float(sigma.square().sum())


def _lossless(left: Tensor, right: Tensor, form: StoredForm) -> tuple[Tensor, Tensor]:
    if form is StoredForm.LEFT_PRODUCT:
        return right.T @ left, torch.eye(right.shape[1], dtype=right.dtype, device=right.device)
    if form is StoredForm.RIGHT_PRODUCT:
        return torch.eye(left.shape[1], dtype=left.dtype, device=left.device), left.T @ right
    return left, right


def precondition(left: Tensor, right: Tensor, factors: LayerFactors, damping_factor: float) -> Tensor:
    """Return V = Q_S [(leftᵀ right) ⊘ (Λ + λ)] Q_Aᵀ [D_out, D_in].

    Rotating back costs D_in·D_out·(D_in + D_out) multiplications, once for each query; not doing so would cost
    T·(D_in² + D_out²) for every training sequence instead.
    """
    return factors.Q_S @ ((left.T @ right) / factors.damped(damping_factor)) @ factors.Q_A.T


def precondition_low_rank(
    gradients: Sequence[tuple[Tensor, Tensor]], factors: LayerFactors, damping_factor: float, rank: int
) -> tuple[Queries, list[float], list[float]]:
    """Return V of queries' (left, right), as :func:`precondition` does, in a rank of at most ``rank``.

    Also each query's squared error and squared norm (:mod:`whence_backends.ekfac.low_rank`). V is whole where two
    factors would take as much memory.
    """
    damped = factors.damped(damping_factor)
    truncate, lefts, rights, errors, norms = worthwhile(rank, *factors.Lambda.shape), [], [], [], []
    # Not for a rank that is no bound: it might be any number.
    noise = torch.from_numpy(range_noise(factors.Q_A.shape[0], rank)).to(factors.Q_A) if truncate else None
    for left, right in gradients:  # one whole V at a time, which may be large
        divided = (left.T @ right) / damped
        norms.append(weighted_square(divided, factors.Lambda))
        if truncate:
            found = truncate_weighted(divided, factors.Lambda, rank, torch.linalg, noise)
            lefts.append(found.left @ factors.Q_S.T)
            rights.append(found.right @ factors.Q_A.T)
            errors.append(found.squared_error)
    if truncate:
        return LowRankQueries(left=torch.stack(lefts), right=torch.stack(rights)), errors, norms
    whole = torch.stack([precondition(left, right, factors, damping_factor) for left, right in gradients])
    return whole, [0.0] * len(gradients), norms


def layer_scores(V: Queries, a: Tensor, s: Tensor, detail: Detail) -> Tensor:
    """Return one layer's ⟨V_q, G_b⟩ as float64 [Q, B], or by token as [Q, B, T] for ``LAYERS_TOKENS``.

    a [B, T, D_in], s [B, T, D_out]. Queries of a bounded rank are multiplied out, as many at a time as may be:
    Q·rank·D_in·D_out multiplications for the whole batch.
    """
    if isinstance(V, LowRankQueries):
        D_out, D_in = V.left.shape[2], V.right.shape[2]
        step = max(1, _QUERY_ELEMENTS[a.device.type] // (D_out * D_in))
        chunks = (slice(start, start + step) for start in range(0, len(V), step))
        return torch.cat(
            [_whole_scores(V.left[chunk].transpose(1, 2) @ V.right[chunk], a, s, detail) for chunk in chunks]
        )
    return _whole_scores(V, a, s, detail)


def _whole_scores(V: Tensor, a: Tensor, s: Tensor, detail: Detail) -> Tensor:
    """Return the scores for V [Q, D_out, D_in].

    Applying V to the tokens costs Q·B·T·D_in·D_out
    multiplications, forming the gradients first B·(T + Q)·D_in·D_out: the first is for one query, or for tokens.
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
    chunk = max(1, _GRADIENT_ELEMENTS[a.device.type] // flat.shape[1])
    parts: list[Tensor] = []
    for start in range(0, a.shape[0], chunk):
        G = s[start : start + chunk].transpose(1, 2) @ a[start : start + chunk]
        parts.append(flat @ G.reshape(-1, D_out * D_in).to(flat.dtype).T)
    return torch.cat(parts, dim=1).double()
