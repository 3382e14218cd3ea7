"""The results of all checks, as frozen dataclasses and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from whence_backends.validation.checks.baselines import Baseline
from whence_backends.validation.checks.canaries import CanaryRanks
from whence_backends.validation.checks.coverage import Coverage
from whence_backends.validation.checks.half_data import HalfData
from whence_backends.validation.checks.label_seed import LabelSeed
from whence_backends.validation.checks.optimum import Optimum
from whence_backends.validation.checks.precision import Precision
from whence_backends.validation.checks.step import Steps

CHECKS_FORMAT: Final = "whence.checks/1"

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
