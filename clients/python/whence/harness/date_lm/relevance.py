"""Which training rows DATE-LM counts as relevant, by the columns of its data sets."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from whence.errors import InvalidRequestError
from whence.reasons import Reason

Row: TypeAlias = Mapping[str, Any]
FactTask: TypeAlias = Literal["counterfact", "ftrace"]

_COLUMNS: Final[dict[FactTask, tuple[str, ...]]] = {
    "counterfact": ("counterfactual_entity", "true_entity"),
    "ftrace": ("facts",),
}
_UNSAFE: Final = "Unsafe"


def relevant_rows(task: FactTask, train: Sequence[Row], ref: Sequence[Row]) -> list[list[int]]:
    """Return, for each reference row, the numbers of the training rows that state its fact.

    In Counterfact both entities are the same; in ftrace the training row's ``facts`` have the first of the reference
    row's. Raises :class:`~whence.errors.InvalidRequestError` (``MISSING_COLUMN``).
    """
    check_columns(train, "train", _COLUMNS[task])
    check_columns(ref, "ref", _COLUMNS[task])
    stated, asked = _FACTS[task]
    rows: defaultdict[Any, list[int]] = defaultdict(list)
    for number, row in enumerate(train):
        for fact in dict.fromkeys(stated(row)):
            rows[fact].append(number)
    return [rows.get(asked(row), []) for row in ref]


def unsafe_rows(train: Sequence[Row]) -> list[int]:
    """Return the numbers of the training rows whose ``type`` is Unsafe.

    Raises :class:`~whence.errors.InvalidRequestError` (``MISSING_COLUMN``).
    """
    check_columns(train, "train", ("type",))
    return [number for number, row in enumerate(train) if row["type"] == _UNSAFE]


def _entities(row: Row) -> tuple[Any, Any]:
    return row["counterfactual_entity"], row["true_entity"]


def _facts(row: Row) -> list[Any]:
    """Return the row's facts, which are JSON in files without lists."""
    facts = row["facts"]
    if isinstance(facts, str):
        try:
            facts = json.loads(facts)
        except ValueError:
            facts = None
    if not isinstance(facts, list):
        raise InvalidRequestError(
            f"facts are {row['facts']!r}: a list is expected, in CSV as JSON", reason=Reason.INVALID_QUERIES
        )
    return facts


_FACTS: Final[dict[FactTask, tuple[Callable[[Row], Sequence[Any]], Callable[[Row], Any]]]] = {
    "counterfact": (lambda row: [_entities(row)], _entities),
    "ftrace": (_facts, lambda row: next(iter(_facts(row)), None)),
}


def check_columns(rows: Sequence[Row], split: str, columns: Sequence[str]) -> None:
    """Raise ``InvalidRequestError`` (``MISSING_COLUMN``) for the first row that lacks a column."""
    for number, row in enumerate(rows):
        missing = [column for column in columns if column not in row]
        if missing:
            raise InvalidRequestError(
                f"row {number} of {split} has no {' and no '.join(missing)}; it has {', '.join(row) or 'no column'}: "
                f"give the data set's own columns, of which {', '.join(columns)} are read",
                reason=Reason.MISSING_COLUMN,
                field=split,
            )
