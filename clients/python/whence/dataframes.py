"""Results as pandas data frames. pandas is imported when the first one is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whence.errors import UnimplementedError
from whence.reasons import Reason
from whence.results import Attribution, Explanation, GroupInfluences, Hit, ScoreTable

if TYPE_CHECKING:
    import pandas as pd


def hits(attribution: Attribution, *, layers: bool = False) -> pd.DataFrame:
    """Return a row for each hit. Columns of the corpus are ``metadata.<column>``, layers are ``layer.<name>``."""
    if layers and any(hit.layer_influence is None for hit in attribution):
        raise UnimplementedError(
            "this answer has no influence by layer: request it with include_layers=True",
            reason=Reason.MISSING_LAYERS,
        )
    columns = [
        "query_id",
        "rank",
        "influence",
        "raw_influence",
        "signal",
        "significance",
        "sequence_id",
        "document_id",
        "source",
        "text",
    ]
    rows = [_row(attribution.query_id, hit, layers) for hit in attribution]
    return _frame(rows, columns=None if rows else columns)


def scores(table: ScoreTable) -> pd.DataFrame:
    """Return a row for each query and a column for each sequence; texts are ``text <number>``."""
    return _frame(
        [list(row) for row in table.influence],
        index=[query_id or f"query {number}" for number, query_id in enumerate(table.query_ids, 1)],
        columns=table.sequence_names,
    )


def groups(influences: GroupInfluences) -> pd.DataFrame:
    """Return a row for each group, named by its index."""
    columns = ["influence", "standard_error", "sequences", "sampled"]
    rows = [[getattr(group, column) for column in columns] for group in influences]
    return _frame(rows, index=[group.name for group in influences], columns=columns)


def parts(explanation: Explanation) -> pd.DataFrame:
    """Return a row for each layer and a column for each token, named by its text."""
    return _frame(
        [list(row) for row in explanation.parts],
        index=list(explanation.layers),
        columns=[token.text for token in explanation.tokens],
    )


def _row(query_id: str, hit: Hit, layers: bool) -> dict[str, Any]:
    by_layer = (hit.layer_influence or {}) if layers else {}
    return {
        "query_id": query_id,
        "rank": hit.rank,
        "influence": hit.influence,
        "raw_influence": hit.raw_influence,
        "signal": hit.signal,
        "significance": hit.significance,
        "sequence_id": hit.sequence_id,
        "document_id": hit.document_id,
        "source": hit.source,
        "text": hit.text,
        **{f"metadata.{column}": value for column, value in hit.metadata.items()},
        **{f"layer.{layer}": influence for layer, influence in by_layer.items()},
    }


def _frame(rows: list[Any], *, index: list[str] | None = None, columns: list[str] | None = None) -> pd.DataFrame:
    try:
        import pandas as pd
    except ImportError as error:
        raise UnimplementedError(
            "tables need pandas, which is not installed; try: pip install 'whence[pandas]'",
            reason=Reason.MISSING_DEPENDENCY,
            package="pandas",
            extra="pandas",
        ) from error
    return pd.DataFrame(rows, index=index, columns=columns)
