"""The section of an explanation: one influence by token and by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from whence.display.markup import Markup, element, joined
from whence.display.passages import by_depth, excerpt
from whence.display.wording import influence_on, number
from whence.report.about import fact_line, warnings, work
from whence.report.charts import cells
from whence.report.marks import largest, listed, marked, signed, strongest
from whence.report.tables import hidden, row, table
from whence.results import Explanation

# Columns of the map: of a longer sequence, each is the sum over several tokens.
_COLUMNS: Final = 160
_PASSAGE: Final = 1_600
_LONGEST: Final = 60_000
_PAIRS: Final = 10


class _Pair(NamedTuple):
    depth: str
    token: str
    influence: float


def explanation(result: Explanation) -> Iterator[Markup]:
    """Yield the parts of an explanation's section, after what was asked."""
    sequence = result.sequence
    name = joined(element("b", sequence.source), " ", sequence.sequence_id) if sequence.sequence_id else "a given text"
    yield fact_line(
        [
            joined(
                "influence ", element("b", influence_on(result.influence, result.log_likelihood)), " nats of ", name
            ),
            joined("log-likelihood of the output ", element("b", f"{result.log_likelihood:.3f} nats")),
            f"{len(result.tokens):,} tokens, {len(result.layers):,} layers",
        ]
    )
    yield warnings(result.warnings)
    yield from _text(result)
    yield from _map(result)
    yield work(result)


def _text(result: Explanation) -> Iterator[Markup]:
    content = result.sequence.text
    window = excerpt(content, result.tokens, _PASSAGE)
    yield element(
        "h3", "Which tokens carry it" if window == (0, len(content)) else "Which tokens carry it: the strongest passage"
    )
    yield element("p", marked(content, result.tokens, window), class_="text", dir="auto")
    if window != (0, len(content)):
        cut = content[:_LONGEST]
        tokens = [token for token in result.tokens if token.end <= len(cut)]
        title = (
            f"The whole text, {len(content):,} characters" if cut == content else f"The first {_LONGEST:,} characters"
        )
        whole = element("p", marked(cut, tokens), class_="text", dir="auto")
        yield element("details", element("summary", title), whole)
    yield listed(result.tokens)


def _map(result: Explanation) -> Iterator[Markup]:
    if not result.tokens or not result.parts:
        return
    depths = _by_depth(result)
    size = math.ceil(len(result.tokens) / _COLUMNS)
    bins = {depth: _binned(values, size) for depth, values in depths.items()}
    most = largest(value for values in bins.values() for value in values)
    total = {depth: math.fsum(value for value in values if math.isfinite(value)) for depth, values in depths.items()}
    rows = [
        row(
            depth,
            element("td", cells(bins[depth], most, _in_words(depth, values, result))),
            element("td", signed(total[depth]), class_="sum"),
        )
        for depth, values in depths.items()
    ]
    column = "each column is a token" if size == 1 else f"each column is the sum over {size} tokens"
    about = (
        f"Rows are depths of the model, first to last; {column}. Low cells are negative. The number is the row's sum."
    )
    heads = [hidden(name) for name in ("depth", "tokens, first to last", "sum")]
    yield element("h3", "Through which layers")
    yield table(heads, rows, label="Influence by depth and token", about=about, kind="map wide")
    yield element("details", element("summary", "Strongest pairs of depth and token"), _pairs(result, depths))


def _by_depth(result: Explanation) -> dict[str, list[float]]:
    """Return a row for each depth, the sum over its layers."""
    depths: dict[str, list[float]] = {}
    for layer, values in zip(result.layers, result.parts, strict=True):
        [depth] = by_depth({layer: 0.0})
        before = depths.get(depth)
        depths[depth] = list(values) if before is None else [a + b for a, b in zip(before, values, strict=True)]
    return depths


def _binned(values: Sequence[float], size: int) -> list[float]:
    return [math.fsum(values[at : at + size]) for at in range(0, len(values), size)]


def _in_words(depth: str, values: Sequence[float], result: Explanation) -> str:
    place = max(range(len(values)), key=lambda at: abs(values[at]) if math.isfinite(values[at]) else 0.0)
    return f"depth {depth}: strongest token “{result.tokens[place].text.strip()[:40]}” {number(values[place])}"


def _pairs(result: Explanation, depths: dict[str, list[float]]) -> Markup:
    tokens = {id(token) for token in strongest(result.tokens, 200)}
    pairs = [
        _Pair(depth, token.text.strip()[:60], value)
        for depth, values in depths.items()
        for token, value in zip(result.tokens, values, strict=True)
        if id(token) in tokens and math.isfinite(value)
    ]
    first = sorted(pairs, key=lambda pair: -abs(pair.influence))[:_PAIRS]
    rows = [
        row(pair.depth, element("td", element("bdi", pair.token)), element("td", signed(pair.influence), class_="num"))
        for pair in first
    ]
    return table(("depth", "token", "influence, nats"), rows, label="Strongest pairs", texts=2, kind="pairs-table")
