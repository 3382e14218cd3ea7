"""Rotation of gradients into the eigenbasis: Ĝ = Q_Sᵀ G Q_A, with G = Σ_t s_t a_tᵀ."""

from __future__ import annotations

from torch import Tensor


def rotate_tokens(a: Tensor, s: Tensor, Q_A: Tensor, Q_S: Tensor) -> tuple[Tensor, Tensor]:
    """Return s Q_S [T, D_out] and a Q_A [T, D_in] of one sequence, whose product (s Q_S)ᵀ (a Q_A) is Ĝ."""
    return s @ Q_S, a @ Q_A


def rotated_gradients(a: Tensor, s: Tensor, Q_A: Tensor, Q_S: Tensor, *, each_side: bool) -> Tensor:
    """Return Ĝ [B, D_out, D_in] of each sequence, from a [B, T, D_in] and s [B, T, D_out].

    Either the tokens are rotated before their product is formed, or the product is. For the side of A the former costs
    T·D_in² multiplications per sequence and the latter D_out·D_in²; for the side of S, T·D_out² and D_in·D_out². With
    ``each_side`` each side uses its cheaper method. Without, both use the method that is cheaper in total: a fit does
    so, which keeps Λ bit-equal to that of earlier versions.
    """
    T, D_in, D_out = a.shape[1], a.shape[2], s.shape[2]
    A_on_tokens, S_on_tokens = D_out >= T, D_in >= T
    if not each_side:
        A_on_tokens = S_on_tokens = T * (D_in**2 + D_out**2) < D_in * D_out * (D_in + D_out)
    G = (s @ Q_S if S_on_tokens else s).transpose(1, 2) @ (a @ Q_A if A_on_tokens else a)
    if not each_side:
        return G if S_on_tokens else Q_S.T @ G @ Q_A
    G = G if A_on_tokens else G @ Q_A
    return G if S_on_tokens else Q_S.T @ G
