"""What every answer has: plain data, where it comes from, and what to keep in mind."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

from whence._json import finite
from whence._plain import from_plain
from whence.certificates import NONE, CertificateSummary
from whence.errors import InvalidRequestError
from whence.reasons import Reason

# The version of results as plain data. It rises when a field changes its meaning, not when one is added.
VERSION: Final = 1


class Plain:
    """A result as plain data."""

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Return the result that :meth:`to_dict` made this of, also after JSON. Unknown fields are left out.

        Raises :class:`~whence.errors.InvalidRequestError` (``UNREADABLE_RESULT``) for anything else.
        """
        try:
            return from_plain(cls, document)
        except ValueError as error:
            raise unreadable(cls.__name__, str(error)) from error

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, by name; results in them are dictionaries too."""
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]  # subclasses are data classes

    def to_json(self, *, indent: int | None = None) -> str:
        """Return all fields as JSON. NaN and infinities, which JSON lacks, are null."""
        return json.dumps(finite(self.to_dict()), indent=indent, allow_nan=False)


def check_version(document: Mapping[str, Any], kind: str) -> None:
    """Raise ``InvalidRequestError`` for plain data of another kind of result, or of a later version."""
    if document.get("kind", kind) != kind:
        raise unreadable(kind, f"its kind is {document['kind']!r:.60}")
    version = document.get("version", VERSION)
    if version != VERSION:
        raise InvalidRequestError(
            f"the result is of version {version!r:.20} and this Whence reads version {VERSION}: update Whence "
            "(pip install --upgrade whence)",
            reason=Reason.UNSUPPORTED_RESULT,
            version=str(version)[:20],
        )


def unreadable(kind: str, why: str) -> InvalidRequestError:
    """Return the error of plain data that is no result of a kind."""
    return InvalidRequestError(
        f"this is no {kind} as plain data: {why}; expected what to_dict(), to_json() or --json made",
        reason=Reason.UNREADABLE_RESULT,
    )


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
    ``corpus_share`` of the corpus, all but its ``unreachable_shards``. ``kind`` names the class in plain data.
    """

    kind: ClassVar[str] = "answer"

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

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, by name, under the ``kind`` of the result and the ``version`` of its plain data."""
        return {"kind": self.kind, "version": VERSION, **super().to_dict()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Return the result that :meth:`to_dict` made this of, also after JSON. Unknown fields are left out.

        Raises :class:`~whence.errors.InvalidRequestError`: ``UNSUPPORTED_RESULT`` for one of a later version,
        ``UNREADABLE_RESULT`` for anything else that is none, or that contradicts itself.
        """
        check_version(document, cls.kind)
        result = super().from_dict(document)
        for problem in result.contradictions():
            raise unreadable(cls.kind, problem)
        return result

    def contradictions(self) -> Iterator[str]:
        """Yield a sentence for each thing that does not fit; none for what a server sent."""
        yield from ()
