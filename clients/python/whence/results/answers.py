"""What every answer has: plain data, where it comes from, and what to keep in mind."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from whence._json import finite
from whence.certificates import NONE, CertificateSummary


class Plain:
    """A result as plain data."""

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, by name; results in them are dictionaries too."""
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]  # subclasses are data classes

    def to_json(self, *, indent: int | None = None) -> str:
        """Return all fields as JSON. NaN and infinities, which JSON lacks, are null."""
        return json.dumps(finite(self.to_dict()), indent=indent, allow_nan=False)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The artefacts behind an answer: digests of the model, its EK-FAC factors, the corpus and the index, if any.

    Influences are divided by ``training_set_size``. ``training_set_source`` names its origin: the ``corpus``, an option
    of the ``fit``, or a setting of the ``worker``. ``certificate`` says how true the model's influences were measured
    to be, or that they were not.
    """

    model: str
    model_digest: str
    factors_digest: str
    corpus_digest: str
    damping_factor: float
    training_set_size: int
    engine: str
    index_digest: str = ""
    attributed_layers: tuple[str, ...] = ()
    training_set_source: str = ""
    gradient_error: float | None = None
    certificate: CertificateSummary = NONE


@dataclass(frozen=True, kw_only=True)
class AnswerWarning:
    """A warning about a complete answer. ``code`` is a :class:`whence.reasons.WarningCode`, and stable."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True, repr=False)
class Answer(Plain):
    """The fields of every answer.

    ``timings`` are wall seconds by stage. ``sequences_scored`` training sequences were scored exactly, and
    ``sequences_searched`` compared with the index. ``layers`` are the tracked layers, in the order of all values by
    layer. ``search`` names the search that found the hits; it is empty where there was none. A partial answer covers
    ``corpus_share`` of the corpus, all but its ``unreachable_shards``.
    """

    request_id: str
    provenance: Provenance
    timings: dict[str, float]
    warnings: tuple[AnswerWarning, ...]
    sequences_scored: int
    influence_unit: str
    layers: tuple[str, ...]
    search: str = ""
    sequences_searched: int = 0
    unreachable_shards: tuple[str, ...] = ()
    corpus_share: float = 1.0
