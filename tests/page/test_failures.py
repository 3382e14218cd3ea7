"""What goes wrong is said in sentences: by the server, by the process behind the page, by whoever wrote the address."""

from __future__ import annotations

import pytest

from access.conftest import add_key, keys_file
from e2e.test_explore import explore
from page.conftest import ASKED, Tab
from whence_service.rpc.identity import Scope

__all__ = ["add_key", "keys_file"]

ODD = [
    "{",
    "<img src=x onerror=alert(1)>",
    "-1",
    "1e999",
    "NaN",
    "\u202e",
    "a" * 20_000,
    "null",
    "[1]",
    '[{"role": 3}]',
]


def test_an_empty_completion_is_said_and_its_field_marked(tab: Tab):
    tab.go("ask", prompt="the keeper", completion="")
    tab.page.wait_for_selector(".fault")
    assert "the completion is empty" in tab.text(".fault").lower()
    assert "EMPTY_COMPLETION" in tab.text(".fault")
    field = tab.page.get_by_label("Completion")
    assert field.get_attribute("aria-invalid") == "true"
    assert field.evaluate("field => field === document.activeElement")


def test_an_unknown_layer_is_said_and_the_options_open(tab: Tab):
    tab.go("ask", **ASKED, layers="nothing.*")
    tab.page.wait_for_selector(".fault")
    assert "nothing.*" in tab.text(".fault")
    assert tab.page.get_by_label("Through layers").is_visible()


def test_a_process_that_is_gone_is_said_and_asked_again(open_tab, indexed, tmp_path):
    with explore(tmp_path / "log", indexed.front.address) as running:
        tab = open_tab(running.url).go()
        tab.page.wait_for_selector(".welcome")
        running.process.kill()
        running.process.wait()
        tab.go("ask", **ASKED)
        tab.page.wait_for_selector(".fault")
        assert "whence explore may have been stopped" in tab.text(".fault")
        assert tab.page.get_by_role("button", name="Try again").is_visible()


def test_a_server_that_is_gone_is_said(open_tab, tmp_path):
    with explore(tmp_path / "log", "127.0.0.1:1") as running:
        tab = open_tab(running.url).go()
        tab.page.wait_for_selector(".fault")
        assert "Nobody answers" in tab.text(".fault h2")


def test_a_worker_that_dies_in_mid_search_leaves_nothing_of_it(open_tab, launch, artefacts, tmp_path):
    from e2e.conftest import serve, start_slow

    service = serve(artefacts, [start_slow(launch, artefacts)], [])
    front = launch.front(service.worker)
    front.wait_for("serving")
    with explore(tmp_path / "log", front.address) as running:
        tab = open_tab(running.url).go("ask", **ASKED, search="full-scan")
        tab.page.wait_for_selector(".hit")
        service.worker.kill()
        tab.page.wait_for_selector(".fault")
        assert tab.page.locator(".hit").count() == 0


def test_a_server_that_asks_who_calls_is_given_the_key(open_tab, launch, artefacts, keys_file, add_key, tmp_path):
    key = add_key(scopes=(Scope.ATTRIBUTE, Scope.READ_TEXTS)).text
    worker = launch.worker(artefacts)
    front = launch.front(worker, KEYS_FILE=str(keys_file))
    front.wait_for("serving")
    with explore(tmp_path / "log", front.address) as running:
        tab = open_tab(running.url).go()
        tab.page.wait_for_selector("input[name=key]")
        assert "The server asks who you are" in tab.text(".fault")
        for given in ("wrong", key):
            tab.page.locator("input[name=key]").fill(given)
            tab.page.get_by_role("button", name="Use it").click()
            tab.page.wait_for_selector(".fault" if given == "wrong" else ".welcome")
        assert key not in tab.page.url
        tab.answered()


@pytest.mark.parametrize("view", ["ask", "sources", "compare", "model", "nothing"])
def test_odd_addresses_give_sentences(tab: Tab, view: str):
    for name in ("prompt", "completion", "messages", "k", "damping", "layers", "meta", "model", "search", "hit", "by"):
        for value in ODD[:4] if name in ("hit", "by") else ODD:
            tab.go(view, **{**ASKED, "prompt2": "the", "completion2": " oil", name: value})
            tab.page.wait_for_selector(".fault, .facts, .groups, .butterfly, h1:not(.unseen), .note, .welcome")
