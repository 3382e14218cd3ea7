"""Check: what does an influence rank that words and plain gradients do not?"""

from __future__ import annotations

from dataclasses import dataclass

from whence_backends.contract import Float64Array
from whence_backends.validation.checks.agreement import Agreement, agreement, best, rank_of


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The agreement of influence with another ranking, ``bm25`` or ``dot_product``.

    ``ranks_of_first`` has, for each query, the rank that the other gives to the first hit by influence, and
    ``ranks_of_its_first`` the rank by influence of its own first hit; both count from 1.
    """

    name: str
    agreement: Agreement
    ranks_of_first: tuple[int, ...]
    ranks_of_its_first: tuple[int, ...]


def baseline(name: str, served: Float64Array, other: Float64Array) -> Baseline:
    """Return the check, from the served scores [Q, n] and those of the baseline for the same sequences."""
    pairs = list(zip(served, other, strict=True))
    return Baseline(
        name=name,
        agreement=agreement(served, other),
        ranks_of_first=tuple(rank_of(b, int(best(a, 1)[0])) for a, b in pairs),
        ranks_of_its_first=tuple(rank_of(a, int(best(b, 1)[0])) for a, b in pairs),
    )
