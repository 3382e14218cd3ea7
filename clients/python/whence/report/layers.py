"""The map of hits and depths of the model: numbers where there are few depths, else cells in rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from whence.display.markup import Markup, element, joined
from whence.display.passages import by_depth
from whence.report.charts import cells, heat_table, in_words
from whence.report.marks import largest, signed
from whence.report.tables import cut, hidden, row, table
from whence.results import Attribution

_ROWS: Final = 30
# With more depths than these, numbers would not be read.
_NUMBERS: Final = 12

Rows = Sequence[tuple[str, Mapping[str, float]]]


def layer_map(result: Attribution) -> Markup:
    """Return the map of the first hits, folded up; nothing where the answer has no layers."""
    rows = [
        (cut(f"{hit.rank} {hit.source or hit.sequence_id}"), by_depth(hit.layer_influence))
        for hit in result.hits[:_ROWS]
        if hit.layer_influence
    ]
    if not rows:
        return joined()
    depths = list(dict.fromkeys(depth for _, values in rows for depth in values))
    which = "each hit" if len(rows) == len(result.hits) else f"the first {len(rows)} hits"
    label = f"Influence of {which} through each depth of the model, in nats"
    drawn = _numbers(rows, depths, label) if len(depths) <= _NUMBERS else _cells(rows, depths, label)
    return element("details", element("summary", "Influence by hit and depth"), drawn)


def _numbers(rows: Rows, depths: Sequence[str], label: str) -> Markup:
    numbers = [(name, [values.get(depth, 0.0) for depth in depths]) for name, values in rows]
    return heat_table(depths, numbers, label=label, corner="hit")


def _cells(rows: Rows, depths: Sequence[str], label: str) -> Markup:
    most = largest(value for _, values in rows for value in values.values())
    drawn = [
        row(
            name,
            element("td", cells([values.get(depth, 0.0) for depth in depths], most, f"{name}: {in_words(values)}")),
            element("td", signed(math.fsum(filter(math.isfinite, values.values()))), class_="sum"),
        )
        for name, values in rows
    ]
    about = f"{label}. Columns are depths, {depths[0]} to {depths[-1]}; low cells are negative; the number is the sum."
    return table(list(map(hidden, ("hit", "depths", "sum"))), drawn, label=label, about=about, kind="map wide")
