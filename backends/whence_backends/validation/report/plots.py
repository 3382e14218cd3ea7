"""The plots of a report, each an SVG document. The same report gives the same bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from whence_backends.validation.report.report import ALL, Memorised, MethodRanks, Report
from whence_backends.validation.statistics.calibration import Calibration
from whence_backends.validation.statistics.estimate import Estimate, Figure

_BLUE, _ORANGE, _GREY, _BAND = "#1f5fa8", "#c8621b", "#8a8a8a", "#e8dcc4"
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11.0,
    "axes.titlelocation": "left",
    "figure.constrained_layout.use": True,
}


def plots(report: Report) -> dict[str, str]:
    """Return the SVG documents by name; a plot without any figure is left out."""
    drawn = {
        "lds": _lds(report),
        "effects": _effects(report),
        "signs": _signs(report),
        "calibration": _calibration(report),
        "memorisation": _memorisation(report),
    }
    return {name: svg for name, svg in drawn.items() if svg}


def _lds(report: Report) -> str:
    rows = [(row.name, row.lds) for row in report.methods if isinstance(row.lds, Estimate)]
    if not rows:
        return ""
    rows.sort(key=lambda row: row[1].value)

    def draw(axes: Sequence[Axes]) -> None:
        area = axes[0]
        if isinstance(report.ceiling, Estimate):
            area.axvspan(report.ceiling.low, report.ceiling.high, color=_BAND, zorder=0, linewidth=0)
            area.axvline(report.ceiling.value, color=_GREY, linewidth=1, linestyle="--")
            area.annotate(
                f"ceiling {report.ceiling.value:.2f}", (report.ceiling.value, 1.0), xycoords=("data", "axes fraction"),
                ha="center", va="bottom", color=_GREY, fontsize=9,
            )  # fmt: skip
        area.axvline(0, color=_GREY, linewidth=0.8)
        for place, (name, lds) in enumerate(rows):
            _point(area, place, lds, _BLUE if name == report.reference else "black", horizontal=True)
        area.set_yticks(range(len(rows)), [name for name, _ in rows])
        area.set_xlabel("LDS: rank correlation with retraining, with intervals of 95 %")

    return _svg("lds", draw, height=1.1 + 0.3 * len(rows))


def _effects(report: Report) -> str:
    kinds = report.kinds or (ALL,)
    tables = [table for kind in kinds if (table := _ranks(report, kind)) and table.effects]
    if not tables:
        return ""

    def draw(axes: Sequence[Axes]) -> None:
        for area, table in zip(axes, tables, strict=True):
            places = range(len(table.effects))
            for shift, colour, label, values in (
                (-0.12, _ORANGE, "predicted", [row.predicted for row in table.effects]),
                (0.12, _BLUE, "measured", [row.measured for row in table.effects]),
            ):
                for place, value in zip(places, values, strict=True):
                    _point(area, place + shift, value, colour, label=label if place == 0 else "")
            area.axhline(0, color=_GREY, linewidth=0.8)
            # First hits are a hundred times the tenth: what is near 0 would not be seen beside them.
            area.set_yscale("symlog", linthresh=_smallest(table))
            area.set_xticks(
                list(places), [_rank(row.first, row.last) for row in table.effects], rotation=30, ha="right"
            )
            area.set_title(table.kind if table.kind != ALL else "")
            area.set_xlabel(f"rank by {table.method} (negative: from the end)")
            area.set_ylabel("effect, nats")
        axes[0].legend(frameon=False)

    return _svg("effects", draw, height=3.6, columns=len(tables), width=6.4 if len(tables) == 1 else 4.6)


def _signs(report: Report) -> str:
    tables = [table for kind in report.kinds or (ALL,) if (table := _ranks(report, kind))]
    rows = [(table, row) for table in tables for row in table.signs if isinstance(row.share, Estimate)]
    if not rows:
        return ""
    counts = sorted({row.count for _, row in rows}, key=lambda count: (count < 0, abs(count)))

    def draw(axes: Sequence[Axes]) -> None:
        area = axes[0]
        for shift, table in enumerate(tables):
            colour = (_BLUE, _ORANGE, "#3b7d4f", "black")[shift % 4]
            shares = [row for owner, row in rows if owner is table]
            for number, row in enumerate(shares):
                label = (table.kind if len(tables) > 1 else "") if number == 0 else ""
                _point(area, counts.index(row.count) + 0.15 * shift, row.share, colour, label=label)
        area.axhline(0.5, color=_GREY, linewidth=1, linestyle="--")
        names = [f"first {count}" if count > 0 else f"last {-count}" for count in counts]
        area.set_xticks(range(len(counts)), names)
        area.set_ylim(0, 1.02)
        area.set_ylabel("share with the measured sign")
        area.annotate("chance", (1.0, 0.5), xycoords=("axes fraction", "data"), ha="right", va="bottom", color=_GREY)
        if len(tables) > 1:
            area.legend(frameon=False)

    return _svg("signs", draw, height=3.2)


def _calibration(report: Report) -> str:
    if not isinstance(report.calibration, Calibration):
        return ""
    bins = [(row, row.measured) for row in report.calibration.bins if isinstance(row.measured, Estimate)]

    def draw(axes: Sequence[Axes]) -> None:
        area = axes[0]
        area.plot([row.expected for row, _ in bins], "_", color=_ORANGE, markersize=18, label="if the claims are true")
        for place, (_, measured) in enumerate(bins):
            _point(area, place, measured, _BLUE, label="" if place else "as measured")
        area.axhline(0.5, color=_GREY, linewidth=0.8)
        area.set_xticks(range(len(bins)), [f"{row.low:g} to {row.high:g}" for row, _ in bins])
        area.set_xlabel("claimed probability of the sign")
        area.set_ylabel("share with the measured sign")
        area.legend(frameon=False, loc="upper left")

    return _svg("calibration", draw, height=3.4) if bins else ""


def _memorisation(report: Report) -> str:
    if not isinstance(report.memorisation, Memorised):
        return ""
    points = report.memorisation.points

    def draw(axes: Sequence[Axes]) -> None:
        area = axes[0]
        area.plot([x for x, _ in points], [y for _, y in points], ".", color=_BLUE, markersize=3, alpha=0.6)
        area.axhline(0, color=_GREY, linewidth=0.8)
        area.set_xlabel("self-influence, nats")
        area.set_ylabel("memorisation, nats (in less out)")
        if min(x for x, _ in points) > 0:
            area.set_xscale("log")

    return _svg("memorisation", draw, height=3.6, width=4.8)


def _svg(
    name: str, draw: Callable[[Sequence[Axes]], None], *, height: float, width: float = 6.4, columns: int = 1
) -> str:
    # The salt keeps the ids of two plots on the same page apart.
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        canvas = Canvas(figsize=(width * columns, height))
        axes = canvas.subplots(1, columns, squeeze=False)
        draw(list(axes[0]))
        out = io.StringIO()
        canvas.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _point(area: Axes, place: float, value: Figure, colour: str, *, horizontal: bool = False, label: str = "") -> None:
    if not isinstance(value, Estimate):
        return
    reach = [[max(0.0, value.value - value.low)], [max(0.0, value.high - value.value)]]
    x, y = (value.value, place) if horizontal else (place, value.value)
    area.errorbar(
        [x], [y], xerr=reach if horizontal else None, yerr=None if horizontal else reach,
        fmt="o", color=colour, markersize=4.5, capsize=0, linewidth=1.3, label=label or None,
    )  # fmt: skip


def _ranks(report: Report, kind: str) -> MethodRanks | None:
    tables = [table for table in report.ranks if (table.method, table.kind) == (report.reference, kind)]
    return tables[0] if tables else None


def _smallest(table: MethodRanks) -> float:
    """Return the size up to which the axis is linear: a power of ten above the smallest error of a measured effect."""
    errors = [row.measured.standard_error for row in table.effects if isinstance(row.measured, Estimate)]
    return float(10.0 ** math.ceil(math.log10(max(min(errors, default=1.0), 1e-6))))


def _rank(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first} to {last}"
