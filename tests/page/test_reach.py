"""Everybody can read it: axe-core finds nothing, nothing is wider than the window, at any size, in light and dark."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from page.conftest import ASKED, OpenTab, Tab

VIEWS: dict[str, tuple[str, dict[str, Any], str]] = {
    "welcome": ("", {}, ".welcome"),
    "answer": ("ask", {**ASKED, "direction": "both", "search": "full-scan"}, ".facts"),
    "filtered": ("ask", {**ASKED, "source": "log", "significant": 1}, ".facts"),
    "conversation": ("ask", {"messages": "[]", "edit": 1}, ".turns"),
    "failure": ("ask", {**ASKED, "layers": "nothing"}, ".fault"),
    "sources": ("sources", ASKED, ".groups"),
    "compare": ("compare", {**ASKED, "prompt2": "the keeper lit ", "completion2": "the oil"}, ".butterfly li"),
    "model": ("model", {}, "h1"),
}


def shown(tab: Tab, view: str) -> Tab:
    """Show a view with everything that is folded up open."""
    name, params, landmark = VIEWS[view]
    tab.go(name, **params)
    tab.page.wait_for_selector(landmark)
    tab.page.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")
    tab.page.wait_for_load_state("networkidle")
    return tab


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desk", "phone"])
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_keeps_people_from_reading_it(open_tab: OpenTab, url: str, view: str, size: str, scheme: str):
    tab = shown(open_tab(url, size=size, scheme=scheme), view)
    found = Axe().run(tab.page).response["violations"]
    assert not [(rule["id"], [node["html"][:200] for node in rule["nodes"][:3]]) for rule in found]
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_who_wants_no_motion_gets_none(open_tab: OpenTab, url: str):
    tab = open_tab(url, reduced_motion="reduce").answered()
    assert tab.page.evaluate("matchMedia('(prefers-reduced-motion: reduce)').matches")
    assert tab.page.locator(".settles").count() == 0


def test_what_happened_is_said_to_those_who_listen(tab: Tab):
    tab.answered()
    assert "10 sequences" in tab.page.locator("#announcer").text_content()
