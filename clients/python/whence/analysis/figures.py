"""The figures of studies: a panel for each query, in colours that the colour-blind tell apart, lines dashed besides.

Each figure states the convention of its numbers. matplotlib is imported for the first one.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from whence._extras import not_installed
from whence.analysis.concentration import Concentration
from whence.analysis.distribution import Distribution
from whence.terminal import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Study = TypeVar("Study", Distribution, Concentration)

# Of Okabe and Ito's colours.
_BLUE: Final = "#0072B2"
_ORANGE: Final = "#D55E00"
_GREEN: Final = "#009E73"
_GREY: Final = "#666666"
_COLUMNS: Final = 4
# More panels than that are no figure; the table has every query.
PANELS: Final = 16
_NAME_CHARACTERS: Final = 36


def distributions(studies: Sequence[Distribution]) -> Figure:
    """Return 1 - CDF of each query's influences of a sign, both axes logarithmic, with the fit and the noise."""
    noise = "Noise: the middle 95 % of its own fits; far out, the exponent is its degrees of freedom + 1."
    text = f"{Distribution.convention}. {noise}"
    return _panels(studies, _tail, text)


def concentrations(studies: Sequence[Concentration]) -> Figure:
    """Return the share of each query's influence of a sign in its first 0 to 1 % of sequences, with noise's share."""
    text = f"{Concentration.convention}. Band: the middle 95 % of noise alone, fitted to the same influences."
    return _panels(studies, _shares, text)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write the figure as SVG and PNG, and return both paths. The same figure gives the same SVG."""
    import matplotlib as mpl

    paths = [folder / f"{name}.svg", folder / f"{name}.png"]
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(paths[0], format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(paths[1], format="png", dpi=110)
    return paths


def _tail(axes: Any, study: Distribution) -> None:  # noqa: ANN401 - matplotlib's axes
    sizes = np.array([point.size for point in study.points])
    shares = np.array([point.share for point in study.points])
    axes.loglog(sizes, shares, ".", color=_BLUE, markersize=4, label="influences")
    along = np.geomspace(study.x_min, sizes.max(), 50)
    of_tail = study.tail / study.sequences
    fitted = of_tail * (along / study.x_min) ** (1 - study.exponent)
    exponent = f"{study.exponent:.2f} ± {study.standard_error:.2f}"
    axes.loglog(along, fitted, "-", color=_ORANGE, label=f"power law, exponent {exponent}")
    grid = np.geomspace(np.quantile(sizes, 0.04), sizes.max(), 80)
    noise = [study.noise.beyond(float(size)) / 2 for size in grid]
    far = study.noise_tail
    label = f"noise of {study.noise.degrees_of_freedom:g} degrees of freedom: exponent {far.low:.2f} to {far.high:.2f}"
    axes.loglog(grid, noise, "--", color=_GREY, label=label)
    if study.noise.threshold is not None:
        axes.axvline(study.noise.threshold, color=_GREEN, linestyle=":", label="told from noise, from here on")
    axes.set_xlim(left=grid[0])
    axes.set_ylim(bottom=0.003 / study.sequences, top=1)
    axes.set_xlabel(f"{'' if study.sign > 0 else 'size of negative '}influence in nats")
    axes.set_ylabel("1 - CDF, share of all sequences")
    verdict = "rejected" if study.rejected else "not rejected"
    axes.set_title(f"{_named(study.query_id)}\n{study.tail} of {study.sequences:,}; KS p {study.ks_p:.2f}: {verdict}",
                   parse_math=False, fontsize=9, loc="left")  # fmt: skip
    axes.legend(fontsize=7, loc="lower left")


def _shares(axes: Any, study: Concentration) -> None:  # noqa: ANN401 - matplotlib's axes
    curve = [share for share in study.curve if share.fraction <= 0.01]
    percent = [100 * share.fraction for share in curve]
    low, high = ([100 * getattr(share, name) for share in curve] for name in ("noise_low", "noise_high"))
    axes.fill_between(percent, low, high, color=_GREY, alpha=0.25, linewidth=0)
    axes.plot(percent, [100 * share.noise for share in curve], "--", color=_GREY,
              label=f"noise alone, {study.noise.degrees_of_freedom:g} degrees of freedom")  # fmt: skip
    axes.plot(percent, [100 * share.influence for share in curve], "-", color=_BLUE, label="influence")
    if study.top.signal is not None:
        signals = [100 * (share.signal or 0.0) for share in curve]
        axes.plot(percent, signals, "-.", color=_ORANGE, label="signal, of the signals' total")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.45 * axes.dataLim.ymax)  # with room for the legend
    axes.set_xlabel("first k % of all sequences")
    axes.set_ylabel(f"% of total {'positive' if study.sign > 0 else 'negative'} influence")
    top = study.top
    title = f"{_named(study.query_id)}\n1 %: {top.influence:.0%}, noise {top.noise_low:.0%} to {top.noise_high:.0%}"
    axes.set_title(title, parse_math=False, fontsize=9, loc="left")
    axes.legend(fontsize=7, loc="upper left")


def _panels(studies: Sequence[Study], draw: Callable[[Any, Study], None], convention: str) -> Figure:
    shown = studies[:PANELS]
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = _figure((4.6 * columns, 3.9 * rows + 0.4))
    areas = figure.subplots(rows, columns, squeeze=False).flat
    for area, study in zip(areas, shown, strict=False):
        draw(area, study)
    for area in list(figure.axes)[len(shown) :]:
        area.set_axis_off()
    more = f" The first {PANELS} of {len(studies)} queries." if len(studies) > PANELS else ""
    figure.supxlabel(_wrapped(convention + more, 55 * columns), fontsize=8, parse_math=False)
    return figure


def _figure(size: tuple[float, float]) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise not_installed("figures", "matplotlib", "study") from error

    class Shown(Figure):
        """A figure that notebooks show whether or not matplotlib's own display is set up."""

        def _repr_svg_(self) -> str:
            drawn = io.StringIO()
            self.savefig(drawn, format="svg")
            return drawn.getvalue()

    return Shown(figsize=size, layout="constrained")


def _wrapped(text: str, characters: int) -> str:
    import textwrap

    return textwrap.fill(text, characters)


def _named(query_id: str) -> str:
    shown = printable(query_id)
    return shown if len(shown) <= _NAME_CHARACTERS else f"{shown[: _NAME_CHARACTERS - 1]}…"
