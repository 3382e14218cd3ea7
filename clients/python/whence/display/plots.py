"""Plots of influence by layer and by token, with matplotlib, which is imported for the first one."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from whence._extras import not_installed
from whence.display.passages import by_depth
from whence.errors import InvalidRequestError, UnimplementedError
from whence.reasons import Reason
from whence.terminal import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from whence.results import Attribution, Explanation, Hit

_HITS: Final = 20
_COLOURS: Final = "RdYlGn"
_NAME_CHARACTERS: Final = 32


def layers(result: Attribution) -> Figure:
    """Return a map with a row for each hit and a column for each depth of the model, in nats."""
    hits = result.hits[:_HITS]
    _require(hits, "layer_influence", "include_layers=True")
    depths = [by_depth(hit.layer_influence or {}) for hit in hits]
    names = list(depths[0])
    rows = [[depth[name] for name in names] for depth in depths]
    figure, axes = _axes(rows=len(rows), columns=len(names))
    _heat(figure, axes, rows, list(map(_named, hits)), list(map(printable, names)))
    axes.set_xlabel("depth of the layer")
    return figure


def tokens(result: Attribution, rank: int = 1) -> Figure:
    """Return a bar for each token of a hit, the one of this ``rank`` from 1 among all hits, in nats."""
    if not 1 <= rank <= len(result.hits):
        raise InvalidRequestError(
            f"rank is {rank}: the answer has {len(result.hits)} hits, counted from 1",
            reason=Reason.INVALID_FIELD,
            field="rank",
        )
    hit = result.hits[rank - 1]
    _require([hit], "tokens", "include_tokens=True")
    parts = hit.tokens or ()
    figure, axes = _axes(rows=6, columns=len(parts))
    colours = ["#2ea05c" if part.influence >= 0 else "#d64848" for part in parts]
    axes.bar(range(len(parts)), [part.influence for part in parts], color=colours)
    axes.set_xticks(range(len(parts)), [_plain(part.text) for part in parts], rotation=90)
    axes.set_ylabel("influence in nats")
    axes.set_title(_named(hit), parse_math=False)
    return figure


def explanation(result: Explanation) -> Figure:
    """Return a map with a row for each layer and a column for each token, in nats."""
    rows = [list(row) for row in result.parts]
    figure, axes = _axes(rows=len(rows), columns=len(result.tokens))
    _heat(figure, axes, rows, list(map(printable, result.layers)), [_plain(token.text) for token in result.tokens])
    return figure


def _heat(
    figure: Figure, axes: Any, rows: Sequence[Sequence[float]], left: Sequence[str], below: Sequence[str]  # noqa: ANN401
) -> None:  # fmt: skip
    largest = max((abs(value) for row in rows for value in row), default=0.0) or 1.0
    image = axes.imshow(rows, aspect="auto", cmap=_COLOURS, vmin=-largest, vmax=largest)
    axes.set_yticks(range(len(left)), left, parse_math=False)
    axes.set_xticks(range(len(below)), below, rotation=90, parse_math=False)
    figure.colorbar(image, ax=axes, label="influence in nats")


def _axes(*, rows: int, columns: int) -> tuple[Figure, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise not_installed("plots", "matplotlib", "notebook") from error

    class Shown(Figure):
        """A figure that notebooks show whether or not matplotlib's own display is set up."""

        def _repr_svg_(self) -> str:
            drawn = io.StringIO()
            self.savefig(drawn, format="svg")
            return drawn.getvalue()

    size = (min(24.0, 4.0 + 0.25 * columns), min(16.0, 1.5 + 0.3 * rows))
    figure = Shown(figsize=size, layout="constrained")
    return figure, figure.add_subplot()


def _require(hits: Sequence[Hit], name: str, option: str) -> None:
    if not hits or any(getattr(hit, name) is None for hit in hits):
        raise UnimplementedError(
            f"this answer has no hits with {name}: request it with {option}", reason=Reason.MISSING_LAYERS
        )


def _named(hit: Hit) -> str:
    return f"{hit.rank}. {_plain(hit.sequence_id)}"


def _plain(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= _NAME_CHARACTERS else f"{shown[: _NAME_CHARACTERS - 1]}…"
