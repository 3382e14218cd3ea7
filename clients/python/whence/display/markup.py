"""HTML elements whose texts are escaped, and cannot change the direction of writing."""

from __future__ import annotations

from html import escape
from typing import Final, final

from whence.terminal import printable

# Elements without contents, and so without an end.
_VOID: Final = frozenset({"meta", "br", "hr", "line", "rect", "circle", "path"})


@final
class Markup(str):
    """A text that is HTML already."""

    __slots__ = ()


def element(tag: str, *contents: str, **attributes: str | float) -> Markup:
    """Return an element. Contents that are not markup are escaped, and so is every attribute.

    ``class_`` is the attribute ``class``; other underscores are hyphens. An attribute with an empty text is left out.
    """
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{text(_written(value))}"'
        for name, value in attributes.items()
        if value != ""
    )
    if tag in _VOID and not contents:
        return Markup(f"<{tag}{named}>" if tag == "meta" else f"<{tag}{named}/>")
    return Markup(f"<{tag}{named}>{joined(*contents)}</{tag}>")


def joined(*contents: str) -> Markup:
    """Return contents one after the other, those that are not markup escaped."""
    return Markup("".join(content if isinstance(content, Markup) else text(content) for content in contents))


def text(content: str) -> Markup:
    """Return a text as HTML, safe between tags and in an attribute, without what steers a display. Lines stay lines."""
    return Markup("\n".join(escape(printable(line)) for line in content.split("\n")))


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"
