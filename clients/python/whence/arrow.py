"""Results as Arrow tables, with a row for each number. pyarrow is imported when the first one is made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from whence._extras import not_installed

if TYPE_CHECKING:
    import pyarrow as pa

    from whence.results import Attribution, Explanation, GroupInfluences, Hit, ScoreTable, TextOverlaps

_OF_FILES: Final = ("row", "error")
_OF_QUERIES: Final = ("direction", "log_likelihood", "completion_tokens", "recall", "truncation_error", "warnings")


def hits(answers: Iterable[Attribution]) -> pa.Table:
    """Return a row for each hit of all answers; one without a rank for an answer without hits."""
    _pyarrow()
    from whence.bulk.answers import COLUMNS, answer_rows
    from whence.bulk.tables import arrow_fields

    fields = arrow_fields([name for name in COLUMNS if name not in _OF_FILES])
    rows = [row for answer in answers for row in answer_rows(answer)]
    return _table(rows, fields)


def own_hits(sequences: Sequence[Hit]) -> pa.Table:
    """Return a row for each sequence that influences itself."""
    _pyarrow()
    from whence.bulk.answers import COLUMNS, hit_row
    from whence.bulk.tables import arrow_fields

    names = [name for name in COLUMNS if name not in (*_OF_FILES, *_OF_QUERIES, "query_id")]
    return _table([hit_row(hit) for hit in sequences], arrow_fields(names))


def scores(table: ScoreTable) -> pa.Table:
    """Return a row for each query and sequence."""
    ids = [query_id or f"query {number}" for number, query_id in enumerate(table.query_ids, 1)]
    cells = [
        (query, name, value)
        for query, values in zip(ids, table.influence, strict=True)
        for name, value in zip(table.sequence_names, values, strict=True)
    ]
    return _columns(("query_id", "sequence_id", "influence"), cells)


def groups(influences: GroupInfluences) -> pa.Table:
    """Return a row for each group."""
    pyarrow = _pyarrow()
    numbers = ("signal", "signal_low", "signal_high", "influence", "standard_error")
    fields = [
        ("name", pyarrow.string()),
        *((name, pyarrow.float64()) for name in numbers),
        *((name, pyarrow.int64()) for name in ("sequences", "sampled")),
    ]
    return _table([{name: getattr(group, name) for name, _ in fields} for group in influences], fields)


def overlaps(of: TextOverlaps) -> pa.Table:
    """Return a row for each query, with the nearest sequence's id, document, source and text."""
    pyarrow = _pyarrow()
    texts = ("query_id", "sequence_id", "document_id", "source", "text")
    kinds = {"share": pyarrow.float64(), **{name: pyarrow.string() for name in texts}}
    rows = [overlap.row() for overlap in of]
    return _table(rows, [(name, kinds.get(name, pyarrow.int64())) for name in rows[0]])


def parts(explanation: Explanation) -> pa.Table:
    """Return a row for each layer and token: ``position`` counts tokens from 0."""
    cells = [
        (layer, position, token.text, value)
        for layer, values in zip(explanation.layers, explanation.parts, strict=True)
        for position, (token, value) in enumerate(zip(explanation.tokens, values, strict=True))
    ]
    return _columns(("layer", "position", "token", "influence"), cells)


def _columns(names: Sequence[str], rows: Sequence[tuple[object, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    table: pa.Table = _pyarrow().table({name: list(column) for name, column in zip(names, columns, strict=True)})
    return table


def _table(rows: Sequence[dict[str, Any]], fields: Sequence[tuple[str, Any]]) -> pa.Table:
    pyarrow = _pyarrow()
    table: pa.Table = pyarrow.Table.from_pylist(rows, schema=pyarrow.schema(fields))
    return table


def _pyarrow() -> Any:  # noqa: ANN401 - pyarrow has no types
    try:
        import pyarrow as pa
    except ImportError as error:
        raise not_installed("Arrow tables", "pyarrow", "parquet") from error
    return pa
