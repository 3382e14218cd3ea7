"""The essence of a certificate: one line in words, served with every answer."""

from __future__ import annotations

from typing import Final

from whence_backends.certificates.certificate import Certificate
from whence_backends.certificates.figures import Estimate, Lds

_OF_A_PROXY: Final = "of a small proxy model trained on this corpus, not of this model"


def essence(certificate: Certificate) -> str:
    """Return the essence: "LDS 0.52 of 0.80; valid to rank 10; sizes x 0.6; negative influences: not shown"."""
    parts = [_lds(certificate.lds), _ranks(certificate), _sizes(certificate.ranks.size_ratio), _negative(certificate)]
    words = "; ".join(parts) if _is_retrained(certificate) else "not held against retraining"
    return f"{_OF_A_PROXY}: {words}" if certificate.is_proxy else words


def _is_retrained(certificate: Certificate) -> bool:
    return certificate.lds.influence is not None or bool(certificate.ranks.positive or certificate.ranks.negative)


def _lds(lds: Lds) -> str:
    if lds.influence is None:
        return "LDS not measured"
    ceiling = "(ceiling not measured)" if lds.ceiling is None else f"of {lds.ceiling.value:.2f}"
    return f"LDS {lds.influence.value:.2f} {ceiling}"


def _ranks(certificate: Certificate) -> str:
    rank = certificate.ranks.valid_to_rank
    if rank is None:
        return "effect by rank not measured"
    return f"valid to rank {rank:,}" if rank else "valid to no rank"


def _sizes(ratio: Estimate | None) -> str:
    return "sizes not measured" if ratio is None else f"sizes x {ratio.value:.2g}"


def _negative(certificate: Certificate) -> str:
    words = {True: "shown", False: "not shown", None: "not measured"}
    return f"negative influences: {words[certificate.negative_shown]}"
