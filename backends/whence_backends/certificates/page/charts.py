"""Bars with whiskers, as SVG in the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from whence.display.markup import Markup, element, joined
from whence_backends.certificates.figures import Estimate

_WIDTH: Final = 760.0
_NAMES: Final = 190.0
_VALUES: Final = 110.0
_ROW: Final = 30.0
_BAR: Final = 14.0
# 95 % of a normal distribution.
_WHISKER: Final = 1.96


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A named value; the main ones are drawn in colour."""

    name: str
    value: Estimate
    main: bool = False


def bars(rows: Sequence[Bar], *, label: str, ceiling: Estimate | None = None) -> Markup:
    """Return a chart of horizontal bars with whiskers of 95 %, and a broken line at the ceiling if there is one."""
    scale = _Scale.of([row.value for row in rows], ceiling)
    top = 24.0 if ceiling is not None else 4.0
    height = top + _ROW * len(rows) + 4
    drawn = [_row(row, scale, top + _ROW * place) for place, row in enumerate(rows)]
    zero = scale.at(0.0)
    axis = element("line", class_="axis", x1=zero, x2=zero, y1=top, y2=height)
    line = joined() if ceiling is None else _ceiling(ceiling, scale, top, height)
    view = f"0 0 {_WIDTH:g} {height:g}"
    return element("svg", axis, *drawn, line, viewBox=view, role="img", aria_label=label)


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """The linear map from values to pixels."""

    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[Estimate], ceiling: Estimate | None) -> _Scale:
        """Return the scale that shows zero, every value with its whisker, and the ceiling."""
        ends = [0.0, *(end for value in values for end in _whisker(value))]
        ends += [] if ceiling is None else [ceiling.value]
        return cls(least=min(ends), most=max(max(ends), min(ends) + 1e-9))

    def at(self, value: float) -> float:
        """Return the abscissa of a value."""
        share = (value - self.least) / (self.most - self.least)
        return round(_NAMES + share * (_WIDTH - _NAMES - _VALUES), 1)


def _row(row: Bar, scale: _Scale, y: float) -> Markup:
    middle = y + _ROW / 2
    start, end = sorted((scale.at(0.0), scale.at(row.value.value)))
    class_ = "main" if row.main else "bar"
    parts = [
        element("text", row.name, x=_NAMES - 14, y=middle + 4.5, text_anchor="end"),
        element("rect", class_=class_, x=start, y=middle - _BAR / 2, width=max(end - start, 1), height=_BAR, rx=2),
    ]
    if row.value.standard_error is not None:
        low, high = (scale.at(value) for value in _whisker(row.value))
        parts += [element("line", class_=name, x1=low, x2=high, y1=middle, y2=middle) for name in ("halo", "whisker")]
    parts.append(element("text", written(row.value), class_="soft", x=_WIDTH, y=middle + 4.5, text_anchor="end"))
    return element("g", *parts)


def _ceiling(ceiling: Estimate, scale: _Scale, top: float, height: float) -> Markup:
    x = scale.at(ceiling.value)
    name = f"ceiling {ceiling.value:.2f}"
    return joined(
        element("line", class_="ceiling", x1=x, x2=x, y1=top - 4, y2=height),
        element("text", name, class_="ceiling-name", x=x, y=top - 10, text_anchor="middle"),
    )


def _whisker(value: Estimate) -> tuple[float, float]:
    reach = _WHISKER * (value.standard_error or 0.0)
    return value.value - reach, value.value + reach


def written(value: Estimate, digits: int = 2) -> str:
    """Return a value with its standard error."""
    error = "" if value.standard_error is None else f" ± {value.standard_error:.{digits}f}"
    return f"{value.value:.{digits}f}{error}"
