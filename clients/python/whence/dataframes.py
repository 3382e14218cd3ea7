"""Results as pandas data frames. pandas is imported when the first one is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from whence._extras import not_installed
from whence.errors import UnimplementedError
from whence.reasons import Reason
from whence.results import Attribution, Explanation, GroupInfluences, Hit, ScoreTable, TextOverlaps

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS: Final = (
    "rank", "influence", "raw_influence", "signal", "significance", "sequence_id", "document_id", "source", "text",
)  # fmt: skip


def hits(answers: Sequence[Attribution], *, layers: bool = False) -> pd.DataFrame:
    """Return a row for each hit of all answers.

    Columns of the corpus are ``metadata.<column>``, layers are ``layer.<name>``.
    """
    if layers and any(hit.layer_influence is None for answer in answers for hit in answer):
        raise UnimplementedError(
            "this answer has no influence by layer: request it with include_layers=True",
            reason=Reason.MISSING_LAYERS,
        )
    rows = [{"query_id": answer.query_id, **_row(hit, layers)} for answer in answers for hit in answer]
    return _frame(rows, columns=None if rows else ["query_id", *_COLUMNS])


def own_hits(sequences: Sequence[Hit]) -> pd.DataFrame:
    """Return a row for each sequence that influences itself."""
    columns = [name for name in _COLUMNS if name not in ("signal", "significance")]
    rows = [_row(hit, layers=False) for hit in sequences]
    return _frame(
        [{name: value for name, value in row.items() if name not in ("signal", "significance")} for row in rows],
        columns=None if rows else columns,
    )


def scores(table: ScoreTable) -> pd.DataFrame:
    """Return a row for each query and a column for each sequence; texts are ``text <number>``."""
    return _frame(
        [list(row) for row in table.influence],
        index=[query_id or f"query {number}" for number, query_id in enumerate(table.query_ids, 1)],
        columns=table.sequence_names,
    )


def groups(influences: GroupInfluences) -> pd.DataFrame:
    """Return a row for each group, named by its index."""
    columns = ["signal", "signal_low", "signal_high", "influence", "standard_error", "sequences", "sampled"]
    rows = [[getattr(group, column) for column in columns] for group in influences]
    return _frame(rows, index=[group.name for group in influences], columns=columns)


def overlaps(of: TextOverlaps) -> pd.DataFrame:
    """Return a row for each query, with the nearest sequence's id, document, source and text."""
    return _frame([overlap.row() for overlap in of])


def parts(explanation: Explanation) -> pd.DataFrame:
    """Return a row for each layer and a column for each token, named by its text."""
    return _frame(
        [list(row) for row in explanation.parts],
        index=list(explanation.layers),
        columns=[token.text for token in explanation.tokens],
    )


def rows(of: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row for each mapping, whose keys are the columns."""
    return _frame([dict(row) for row in of])


def _row(hit: Hit, layers: bool) -> dict[str, Any]:
    by_layer = (hit.layer_influence or {}) if layers else {}
    return {
        **{column: getattr(hit, column) for column in _COLUMNS},
        **{f"metadata.{column}": value for column, value in hit.metadata.items()},
        **{f"layer.{layer}": influence for layer, influence in by_layer.items()},
    }


def _frame(rows: list[Any], *, index: list[str] | None = None, columns: list[str] | None = None) -> pd.DataFrame:
    try:
        import pandas as pd
    except ImportError as error:
        raise not_installed("tables", "pandas", "pandas") from error
    return pd.DataFrame(rows, index=index, columns=columns)
