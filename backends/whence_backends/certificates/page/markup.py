"""HTML elements whose texts are escaped."""

from __future__ import annotations

from html import escape
from typing import Final, final

# Elements without contents, and so without an end.
_VOID: Final = frozenset({"meta", "line", "rect", "circle"})


@final
class Markup(str):
    """A text that is HTML already."""

    __slots__ = ()


def element(tag: str, *contents: str, **attributes: str | float) -> Markup:
    """Return an element. Contents that are not markup are escaped, and so is every attribute.

    ``class_`` is the attribute ``class``; other underscores are hyphens.
    """
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_written(value))}"' for name, value in attributes.items()
    )
    if tag in _VOID and not contents:
        return Markup(f"<{tag}{named}>" if tag == "meta" else f"<{tag}{named}/>")
    return Markup(f"<{tag}{named}>{joined(*contents)}</{tag}>")


def joined(*contents: str) -> Markup:
    """Return contents one after the other, those that are not markup escaped."""
    return Markup("".join(text if isinstance(text, Markup) else escape(text) for text in contents))


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"
