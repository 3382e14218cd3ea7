"""Values as steps of colour, and texts with their tokens marked by them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from whence.display.markup import Markup, element, joined, text
from whence.display.passages import Excerpt
from whence.display.wording import number
from whence.report.style import LEVELS
from whence.results import TokenInfluence

# A smaller share of the largest value is left without colour.
_FAINTEST: Final = 0.08


def largest(values: Iterable[float]) -> float:
    """Return the largest size of the finite values; 0 without any."""
    return max((abs(value) for value in values if math.isfinite(value)), default=0.0)


def step(value: float, most: float) -> str:
    """Return the class of a value beside the largest one: ``p1`` to ``p6``, ``n1`` to ``n6``, none for hardly any."""
    share = abs(value) / most if most and math.isfinite(value) else 0.0
    if not share >= _FAINTEST:
        return ""
    return f"{'p' if value > 0 else 'n'}{max(1, min(LEVELS, math.ceil(share * LEVELS)))}"


def sign(value: float) -> str:
    """Return the class of a number's letters."""
    return "pos" if value > 0 else "neg" if value < 0 else ""


def signed(value: float, shown: str = "") -> Markup:
    """Return a number in the colour of its sign."""
    return element("span", shown or number(value), class_=f"num {sign(value)}".strip())


def marked(content: str, tokens: Sequence[TokenInfluence] | None, window: Excerpt | None = None) -> Markup:
    """Return the text of a window, its tokens marked by their influence beside the strongest one."""
    start, end = window or Excerpt(0, len(content))
    most = largest(token.influence for token in tokens or ())
    parts, position = ["…" if start else ""], start
    for token in tokens or ():
        first, last, kind = max(token.start, position), min(token.end, end), step(token.influence, most)
        if first < last and kind:
            first += len(content[first:last]) - len(content[first:last].lstrip())  # the space before a word stays bare
            parts.append(content[position:first])
            parts += [_mark(content[first:last], kind, token.influence)] if first < last else []
            position = last
    parts += [content[position:end], "…" if end < len(content) else ""]
    return joined(*parts)


def _mark(content: str, kind: str, influence: float) -> Markup:
    # Written out: there are tens of thousands of these.
    return Markup(f'<mark class="{kind}" title="{number(influence)}">{text(content)}</mark>')


def strongest(tokens: Sequence[TokenInfluence], count: int) -> list[TokenInfluence]:
    """Return the tokens of the largest influence, largest first, without those that have no text."""
    written = (token for token in tokens if token.text.strip() and math.isfinite(token.influence) and token.influence)
    return sorted(written, key=lambda token: -abs(token.influence))[:count]


def listed(tokens: Sequence[TokenInfluence], count: int = 8) -> Markup:
    """Return the strongest tokens with their influence, for those who cannot see or hover marks."""
    return element("p", *_named(strongest(tokens, count)), class_="small soft") if tokens else joined()


def _named(tokens: Sequence[TokenInfluence]) -> Iterator[str]:
    yield "Strongest tokens: "
    for place, token in enumerate(tokens):
        yield ", " if place else ""
        yield element("bdi", f"“{token.text.strip()[:60]}”")
        yield joined(" ", signed(token.influence))
