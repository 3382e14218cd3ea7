"""Tables that scroll by themselves where a screen is narrow, with the keyboard too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from whence.display.markup import Markup, element, joined

_LONGEST: Final = 120


def table(
    heads: Sequence[str], rows: Sequence[Markup], *, label: str, about: str = "", texts: int = 1, kind: str = "wide"
) -> Markup:
    """Return a table under what is to be said ``about`` it. ``label`` names it for those who do not see it.

    The first ``texts`` columns are texts, the others numbers. ``kind`` is its class.
    """
    head = [
        element("th", name, scope="col", class_="num" if place >= texts else "") for place, name in enumerate(heads)
    ]
    parts = joined(element("thead", element("tr", *head)), element("tbody", *rows))
    said = element("p", about, class_="soft small") if about else joined()
    drawn = element("table", parts, class_=kind, aria_label=label)
    return joined(said, element("div", drawn, class_="scroll", tabindex="0", role="group", aria_label=label))


def row(name: str, *cells: str) -> Markup:
    """Return a row under its name, which is cut where it is too long for one."""
    return element("tr", element("th", cut(name), scope="row"), *cells)


def cut(name: str) -> str:
    """Return a name, or its beginning where it is too long for a cell. Markup stays whole."""
    return name if isinstance(name, Markup) or len(name) <= _LONGEST else f"{name[:_LONGEST]}…"


def hidden(name: str) -> Markup:
    """Return the name of a column that needs none for those who see it."""
    return element("span", name, class_="unseen")
