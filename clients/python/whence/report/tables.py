"""Tables that scroll by themselves where a screen is narrow, with the keyboard too."""

from __future__ import annotations

from collections.abc import Sequence

from whence.display.markup import Markup, element, joined


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
    """Return a row under its name."""
    return element("tr", element("th", name, scope="row"), *cells)


def hidden(name: str) -> Markup:
    """Return the name of a column that needs none for those who see it."""
    return element("span", name, class_="unseen")
