"""Certificates of served models: how true their influences were measured to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NOT_VALIDATED: Final = "not validated"


@dataclass(frozen=True, kw_only=True)
class CertificateSummary:
    """The certificate behind an answer, in short: its essence in words, its digest, and its kind.

    Without a certificate the essence is ``not validated``, and the digest is empty.
    """

    essence: str = NOT_VALIDATED
    digest: str = ""
    kind: str = ""

    @property
    def sentence(self) -> str:
        """The essence as a line for people."""
        return (
            f"Certificate {self.digest.removeprefix('blake3:')[:12]}: {self.essence}"
            if self.digest
            else (f"Influences were {self.essence} for this model: no certificate")
        )


# The summary of no certificate.
NONE: Final = CertificateSummary()


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate. Figures that are None were not measured.

    ``kind`` is ``model`` where the served model was measured, or ``proxy``: then ``measured_model`` is a small model
    that was trained on the same corpus, and the figures speak for the method and the corpus, not for the served model.
    Scores that begin with ``lds`` are linear datamodeling scores: the rank correlation of summed influences with what
    models trained on subsets say, of which ``lds_ceiling`` is the most that can be reached. Hits are ``valid_to_rank``:
    to that rank their measured effect is above zero. ``size_ratio`` is the measured effect of a first hit as a multiple
    of its influence, at ``damping_factor``. ``step_slope`` is the same after a step of the parameters in place of
    retraining, and ``impossible_share`` the share of first hits that promise a probability above 1.
    """

    digest: str
    essence: str
    kind: str
    measured_model: str
    date: str
    method: str
    machine: str
    whence_version: str
    damping_factor: float
    negative_validated: bool
    subsets: int | None = None
    repeated_subsets: int | None = None
    queries: int | None = None
    lds: float | None = None
    lds_standard_error: float | None = None
    lds_ceiling: float | None = None
    lds_signal: float | None = None
    lds_positive: float | None = None
    lds_negative: float | None = None
    lds_bm25: float | None = None
    lds_dot_product: float | None = None
    valid_to_rank: int | None = None
    size_ratio: float | None = None
    right_signs: float | None = None
    pbrf_correlation: float | None = None
    step_slope: float | None = None
    impossible_share: float | None = None
    bm25_overlap: float | None = None

    @property
    def summary(self) -> CertificateSummary:
        """The certificate in short."""
        return CertificateSummary(essence=self.essence, digest=self.digest, kind=self.kind)
