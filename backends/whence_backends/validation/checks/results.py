"""The results of all checks, as frozen dataclasses and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from whence.errors import CorruptArtefactError, NotFoundError
from whence.reasons import Reason
from whence_backends.store.artefact import write_atomically
from whence_backends.validation.checks.baselines import Baseline
from whence_backends.validation.checks.canaries import CanaryRanks
from whence_backends.validation.checks.coverage import Coverage
from whence_backends.validation.checks.half_data import HalfData
from whence_backends.validation.checks.label_seed import LabelSeed
from whence_backends.validation.checks.optimum import Optimum
from whence_backends.validation.checks.precision import Precision
from whence_backends.validation.checks.step import Steps

CHECKS_FORMAT: Final = "whence.checks/1"
CHECKS_FILE: Final = "checks.json"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Checks:
    """The results of the checks of a model, its factors and its corpus, named by their digests.

    ``scanned`` of the ``sequences`` of the corpus were scored for each of the ``queries``.
    """

    model_digest: str
    factors_digest: str
    corpus_digest: str
    queries: int
    sequences: int
    scanned: int
    damping_factor: float
    label_seed: LabelSeed
    half_data: HalfData
    precision: Precision
    steps: Steps
    optimum: Optimum
    baselines: tuple[Baseline, ...]
    coverage: Coverage
    canaries: tuple[CanaryRanks, ...]


def to_json(result: Checks) -> dict[str, Any]:
    """Return the checks as a JSON document."""
    return {"format": CHECKS_FORMAT, **asdict(result)}


def write(result: Checks, folder: Path) -> None:
    """Write the checks to ``checks.json`` in a folder."""
    content = json.dumps(to_json(result), indent=1).encode() + b"\n"

    def fill(path: Path) -> None:
        path.write_bytes(content)

    write_atomically(folder / CHECKS_FILE, fill)


def read(folder: Path) -> Checks:
    """Return the checks of a folder.

    Raises :class:`~whence.errors.NotFoundError` if it has none, and :class:`~whence.errors.CorruptArtefactError` if
    they cannot be read.
    """
    path = folder / CHECKS_FILE
    try:
        document = json.loads(path.read_bytes())
        if document["format"] != CHECKS_FORMAT:
            raise ValueError(f"its format is {document['format']!r}, not {CHECKS_FORMAT}")
        return from_json(Checks, document)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"{folder} has no finished checks; make them with `whence validate check`",
            reason=Reason.ARTEFACT_NOT_FOUND,
            path=folder,
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptArtefactError(
            f"{path} is damaged ({error}); remove it, and run `whence validate check` again",
            reason=Reason.CORRUPT_ARTEFACT,
            path=path,
        ) from error


def from_json(kind: type[T], document: Mapping[str, Any]) -> T:
    """Return the dataclass ``kind`` of a document that ``asdict`` made. Raises ``KeyError`` if a field is missing."""
    hints = get_type_hints(kind)
    values = {field.name: _value(hints[field.name], document[field.name]) for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**values)


def _value(kind: Any, value: Any) -> Any:  # noqa: ANN401 - whatever a field holds
    if is_dataclass(kind):
        return from_json(kind, value)  # type: ignore[arg-type]
    if get_origin(kind) is tuple:
        return tuple(_value(get_args(kind)[0], item) for item in value)
    if get_origin(kind) in (UnionType, Union) and value is not None:
        return _value(next(part for part in get_args(kind) if part is not type(None)), value)
    return value
