"""Parts of printed output: shares, marked tokens, strips of layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from rich.text import Text

from whence.display.passages import Excerpt, by_depth
from whence.results import TokenInfluence
from whence.terminal import printable

BLOCKS: Final = "▁▂▃▄▅▆▇█"
# A token is marked from this share of the strongest token's influence.
MARK_FROM: Final = 0.2
STRIP_WIDTH: Final = 16

# Letters have a colour as well, because the terminal's own may be that of the ground.
_POSITIVE: Final = ("white on #1c3a2a", "white on #1f5c3a", "bold white on #1f8a4c")
_NEGATIVE: Final = ("white on #402020", "white on #6b2a2a", "bold white on #a03030")


def share(part: float, whole: float) -> str:
    """Return a part in percent."""
    return f"{part / whole:.0%}" if whole else "-"


def marked(text: str, tokens: Sequence[TokenInfluence] | None, *, plain: bool, window: Excerpt | None = None) -> Text:
    """Return the text with its influential tokens on a coloured ground, or in brackets where ``plain``.

    Green or «…» raises the output's likelihood, red or ‹…› lowers it. The larger the influence, the stronger the
    colour.
    """
    start, end = window or Excerpt(0, len(text))
    strongest = max((abs(token.influence) for token in tokens or ()), default=0.0)
    out = Text("…" if start > 0 else "")
    position = start
    levels = [_level(token.influence, strongest, coarse=plain) for token in tokens or ()]
    for first, last, level in _runs(tokens or (), levels):
        if last <= start or first >= end:
            continue
        first, last = max(first, start), min(last, end)
        out.append(printable(text[position:first]))
        out.append_text(_mark(printable(text[first:last]), level, plain=plain))
        position = last
    out.append(printable(text[position:end]))
    return out.append("…" if end < len(text) else "")


def strip(layers: Mapping[str, float], width: int = STRIP_WIDTH) -> str:
    """Return a block for each depth, from first to last, as high as its share of the absolute influence."""
    heights = [abs(influence) for influence in by_depth(layers).values()]
    while len(heights) > width:
        heights = [sum(heights[at : at + 2]) for at in range(0, len(heights), 2)]
    highest = max(heights, default=0.0)
    if not highest or not math.isfinite(highest):
        return BLOCKS[0] * len(heights)
    return "".join(BLOCKS[round(height / highest * (len(BLOCKS) - 1))] for height in heights)


def _runs(tokens: Sequence[TokenInfluence], levels: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return (start, end, level) of the marked runs. Adjacent tokens of a level make a run."""
    runs: list[tuple[int, int, int]] = []
    for token, level in zip(tokens, levels, strict=True):
        if not level or token.end <= token.start:
            continue
        if runs and runs[-1][1] == token.start and runs[-1][2] == level:
            runs[-1] = (runs[-1][0], token.end, level)
        elif not runs or token.start >= runs[-1][1]:
            runs.append((token.start, token.end, level))
    return runs


def _level(influence: float, strongest: float, *, coarse: bool) -> int:
    """Return 1 to 3 (1 where ``coarse``), negated for a negative influence; 0 for an unmarked token."""
    part = abs(influence) / strongest if strongest else 0.0
    if not part >= MARK_FROM:
        return 0
    level = 1 if coarse or part < 0.45 else 2 if part < 0.75 else 3
    return level if influence > 0 else -level


def _mark(text: str, level: int, *, plain: bool) -> Text:
    if not plain:
        return Text(text, style=_POSITIVE[level - 1] if level > 0 else _NEGATIVE[-level - 1])
    body = text.lstrip(" ")
    before, after = "«»" if level > 0 else "‹›"  # noqa: RUF001  # marks, not quotation
    return Text(" " * (len(text) - len(body)) + before + body + after)
