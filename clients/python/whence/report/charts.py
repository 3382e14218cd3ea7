"""Small pictures of numbers, each with a sentence for those who cannot see it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from whence.display.markup import Markup, element, joined
from whence.display.wording import number
from whence.report.marks import largest, sign, signed, step
from whence.report.tables import row, table
from whence.results import Attribution, Hit
from whence.significance import is_significant

_BAR: Final = 11.0
_GAP: Final = 2.0
_HEIGHT: Final = 24.0
# So many hits are drawn on a line, the first of each sign: more would hide each other.
_DOTS: Final = 60


def layer_strip(depths: Mapping[str, float]) -> Markup:
    """Return bars for the depths of a model, first to last: up for a positive share, down for a negative one."""
    values = [value if math.isfinite(value) else 0.0 for value in depths.values()]
    high, low = max([0.0, *values]), min([0.0, *values])
    if not high - low:
        return joined()
    zero = _HEIGHT * high / (high - low)
    bars = [
        element(
            "rect",
            class_="p" if value > 0 else "n",
            x=place * (_BAR + _GAP),
            y=round(zero - max(0.0, value) / (high - low) * _HEIGHT, 2),
            width=_BAR,
            height=round(abs(value) / (high - low) * _HEIGHT, 2),
        )
        for place, value in enumerate(values)
    ]
    width = len(values) * (_BAR + _GAP) - _GAP
    axis = element("line", class_="zero", x1=0, x2=width, y1=round(zero, 2), y2=round(zero, 2))
    return element(
        "svg",
        *bars,
        axis,
        class_="strip",
        viewBox=f"0 0 {width:g} {_HEIGHT:g}",
        preserveAspectRatio="none",
        style=f"width:{width:g}px",
        role="img",
        aria_label=f"Influence by depth: {in_words(depths)}",
    )


def in_words(values: Mapping[str, float]) -> str:
    """Return the values, where there are few, or the largest of them."""
    if len(values) <= 12:
        return ", ".join(f"{name} {number(value)}" for name, value in values.items())
    first = sorted(values.items(), key=lambda pair: -abs(pair[1]))[:3]
    ends = list(values)
    return f"strongest {', '.join(f'{name} {number(value)}' for name, value in first)}; from {ends[0]} to {ends[-1]}"


def cells(values: Sequence[float], most: float, label: str) -> Markup:
    """Return a row of cells, coloured beside the largest value of all rows. Negative cells are half as high."""
    paths: dict[str, list[str]] = {}
    for place, value in enumerate(values):
        kind = step(value, most)
        if kind:
            shape = "0h1v4h-1z" if kind[0] == "p" else "2h1v2h-1z"
            paths.setdefault(kind, []).append(f"M{place} {shape}")
    drawn = [element("path", class_=kind, d="".join(shapes)) for kind, shapes in sorted(paths.items())]
    return element(
        "svg",
        *drawn,
        class_="cells",
        viewBox=f"0 0 {max(len(values), 1)} 4",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )


def bar(value: float, most: float) -> Markup:
    """Return a bar as long as a value's share of the largest one."""
    if not most or not math.isfinite(value):
        return joined()
    kind = "p" if value >= 0 else "n"
    return element("span", class_=f"bar {kind}", style=f"width:{100 * abs(value) / most:.1f}%")


def noise_line(result: Attribution) -> Markup:
    """Return the hits on a line, beside the band in which nothing is told from noise."""
    hits = [*result.positive[:_DOTS], *result.negative[:_DOTS]]
    values = [hit.influence for hit in hits if math.isfinite(hit.influence)]
    if not values or result.noise is None:
        return joined()
    low_end, high_end = result.noise.negative_threshold, result.noise.positive_threshold
    ends = [0.0, *values, *(end for end in (low_end, high_end) if end is not None)]
    reach = (max(ends) - min(ends)) or 1.0
    low, high = min(ends) - 0.06 * reach, max(ends) + 0.06 * reach

    def at(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    start, end = at(low if low_end is None else low_end), at(high if high_end is None else high_end)
    band = element("span", class_="band", style=f"left:{start}%;width:{max(end - start, 0):.2f}%")
    zero = element("span", class_="zero", style=f"left:{at(0.0)}%")
    dots = [
        element("span", class_=_dot(hit), style=f"left:{at(hit.influence)}%")
        for hit in reversed(hits)
        if math.isfinite(hit.influence)
    ]
    line = element(
        "div",
        element("span", class_="axis"),
        band,
        zero,
        *dots,
        class_="spread",
        role="img",
        aria_label=_noise_in_words(result, len(hits)),
    )
    scale = element("p", signed(min(ends)), signed(max(ends)), class_="ends")
    return element("figure", line, scale, style="margin:0")


def _dot(hit: Hit) -> str:
    return f"dot {sign(hit.influence)[:1]}" if is_significant(hit.significance) else "dot"


def _noise_in_words(result: Attribution, shown: int) -> str:
    assert result.noise is not None, "a line without noise"
    significant = sum(is_significant(hit.significance) for hit in result.hits)
    low, high = result.noise.negative_threshold, result.noise.positive_threshold
    above = "no positive influence is told from noise" if high is None else f"noise reaches up to {number(high)}"
    below = "no negative influence is told from noise" if low is None else f"noise reaches down to {number(low)}"
    return f"{shown} hits on a line of influence in nats; {significant} are told from noise; {above}; {below}."


def heat_table(
    columns: Sequence[str], rows: Iterable[tuple[str, Sequence[float]]], *, label: str, corner: str
) -> Markup:
    """Return a table of numbers on grounds as strong as they are. ``corner`` says what its rows are."""
    numbers = [(name, list(values)) for name, values in rows]
    most = largest(value for _, values in numbers for value in values)
    drawn = [
        row(name, *(element("td", number(value), class_=f"num tint {step(value, most)}".strip()) for value in values))
        for name, values in numbers
    ]
    return table([corner, *columns], drawn, label=label, about=f"{label}.", kind="heat")
