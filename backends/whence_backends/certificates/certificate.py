"""A certificate: figures, the artefacts that they are of, and how they were come by. ``whence.certificate/1``.

``certificate.json`` is the certificate, with its essence and key figures for whoever reads it; ``certificate.html`` is
the same as a page. Figures that were not measured are ``null`` there, and said to be not measured on the page.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from whence.errors import CorruptArtefactError
from whence.reasons import Reason
from whence_backends.certificates.figures import Checks, Groups, Lds, RankEffects, Stability
from whence_backends.preflight import CertificateFacts
from whence_backends.store import read_manifest, verify_files

FORMAT: Final = "whence.certificate/1"
JSON_FILE, HTML_FILE = "certificate.json", "certificate.html"


class Kind(StrEnum):
    """The model that was measured: the served ``model`` itself, or a small ``proxy`` trained on the same corpus.

    A proxy validates the method and the corpus. It says nothing of the served model's own influences.
    """

    MODEL = "model"
    PROXY = "proxy"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The measured model, by name, and the digests of model, factors, corpus and, where one took part, index."""

    model: str
    model_digest: str
    factors_digest: str
    corpus_digest: str
    index_digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Making:
    """How a certificate was made: when, where, by what, in words, and with what damping (sizes depend on it)."""

    date: str
    machine: str
    method: str
    whence_version: str
    damping_factor: float
    engine: str = ""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What was measured of a model's influences. ``folder`` and ``digest`` are those of the artefact it was read of."""

    kind: Kind
    subject: Subject
    making: Making
    lds: Lds = field(default_factory=Lds)
    ranks: RankEffects = field(default_factory=RankEffects)
    groups: Groups | None = None
    stability: Stability = field(default_factory=Stability)
    checks: Checks = field(default_factory=Checks)
    folder: str = ""
    digest: str = ""

    @classmethod
    def open(cls, folder: Path) -> Certificate:
        """Read the certificate in a folder, checked against its digests.

        Raises the errors of :func:`~whence_backends.store.read_manifest` and
        :func:`~whence_backends.store.verify_files`, and :class:`~whence.errors.CorruptArtefactError`
        for a file that is no certificate.
        """
        manifest = read_manifest(folder, FORMAT)
        verify_files(folder, manifest.files)
        try:
            document = json.loads((folder / JSON_FILE).read_bytes())
            stored = {"folder": str(folder), "digest": manifest.digest}
            return _adapter().validate_python({**document, **stored})
        except (OSError, ValueError, TypeError, ValidationError) as error:
            raise CorruptArtefactError(
                f"{folder / JSON_FILE} is no certificate ({error}); make it again with `whence validate certify`",
                reason=Reason.CORRUPT_ARTEFACT,
                path=folder,
            ) from error

    def document(self) -> dict[str, Any]:
        """Return the certificate as plain data, in the order of its fields."""
        plain = dataclasses.asdict(self)
        return {name: value for name, value in plain.items() if name not in ("folder", "digest")}

    @property
    def is_proxy(self) -> bool:
        """Whether another model than the served one was measured."""
        return self.kind is Kind.PROXY

    @property
    def negative_shown(self) -> bool | None:
        """Whether negative influences were shown to mean something; None where that was not measured.

        They are where their LDS is above zero, and the measured effect of the most negative hits below it, both by two
        standard errors: the sum over a subset may follow a few sequences that no ranking would show.
        """
        lds = self.lds.negative
        if lds is None or not self.ranks.negative:
            return None
        return lds.is_above_zero and self.ranks.negative[0].measured.is_below_zero

    @property
    def facts(self) -> CertificateFacts:
        """The facts that the preflight decides on."""
        return CertificateFacts(
            name=self.folder or self.subject.model,
            proxy=self.is_proxy,
            model_digest=self.subject.model_digest,
            factors_digest=self.subject.factors_digest,
            corpus_digest=self.subject.corpus_digest,
            index_digest=self.subject.index_digest,
        )


@cache
def _adapter() -> TypeAdapter[Certificate]:
    return TypeAdapter(Certificate)
