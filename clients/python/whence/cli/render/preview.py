"""The first rows of a corpus before it is made, with the trained tokens highlighted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.text import Text

from whence.cli.render.text import share
from whence.terminal import printable

if TYPE_CHECKING:  # numpy, pyarrow: only imported where a corpus is made
    from whence_backends.corpus import Preview

MOST_CHARACTERS: Final = 2_000
_COUNTED: Final = "white on #1f5c3a"


def preview(shown: Preview, *, plain: bool) -> RenderableType:
    """Return the rows with trained text on a green ground, or between «…» where ``plain``."""
    legend = "between «» is what" if plain else "on green is what"
    parts: list[RenderableType] = [Text(f"{legend} the model is taken to be trained on; nothing was written", "dim")]
    for sequence in shown.sequences:
        counted = f"{sequence.trained_tokens:,} of {sequence.tokens:,} tokens count"
        part = share(sequence.trained_tokens, sequence.tokens)
        parts += [Text(), Text(f"{printable(sequence.sequence_id)}: {counted} ({part})", style="bold")]
        parts.append(_text(sequence.stretches, plain=plain))
    parts += [Text(f"left out: {printable(str(row))}", style="yellow") for row in shown.bad_rows]
    return Group(*parts)


def _text(stretches: tuple[tuple[str, bool], ...], *, plain: bool) -> Text:
    out, left = Text(), MOST_CHARACTERS
    for text, counts in stretches:
        if left <= 0:
            return out.append(" …", style="dim")
        cut = printable(text[:left])
        out.append(f"«{cut}»" if plain and counts else cut, style=_COUNTED if counts and not plain else "")
        left -= len(cut)
    return out
