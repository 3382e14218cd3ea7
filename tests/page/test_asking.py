"""Asking: the empty page, the form, the answer, its filters, its link, going back."""

from __future__ import annotations

import json

import pytest

from page.conftest import ASKED, Tab
from whence import Query


def test_the_empty_page_says_what_to_do(tab: Tab):
    tab.go()
    tab.page.wait_for_selector(".welcome")
    assert "Enter what a model read and what it wrote" in tab.text(".welcome")
    assert {"Influence", "Colours", "Noise", "Layers"} == set(tab.texts(".legend h3"))


def test_the_form_asks_and_the_ranking_is_that_of_the_client(tab: Tab, indexed):
    tab.go()
    tab.page.get_by_label("Prompt").fill(ASKED["prompt"])
    tab.page.get_by_label("Completion").fill(ASKED["completion"])
    tab.page.get_by_role("button", name="Ask").click()
    tab.page.wait_for_selector(".facts")
    expected = indexed.client.attribute(Query.text(**ASKED), top_k=10)
    assert [row.split()[-1] for row in tab.texts(".hit .from")] == [hit.sequence_id for hit in expected.positive]
    assert tab.text(".output b") == ASKED["completion"]


def test_a_link_to_a_view_is_a_link_to_what_it_shows(tab: Tab, open_tab, url: str):
    tab.answered(direction="both", k=3)
    tab.page.locator(".hit").nth(1).click()
    other = open_tab(url)
    other.page.goto(tab.page.url)
    other.page.wait_for_selector(".reader")
    assert other.text(".reader h2") == tab.text(".reader h2")
    assert other.texts(".hit .from") == tab.texts(".hit .from")


def test_going_back_asks_nothing_twice(tab: Tab):
    tab.answered()
    tab.page.get_by_role("link", name="Model", exact=True).click()
    tab.page.wait_for_selector("h1:has-text('tiny')")
    tab.page.go_back()
    tab.page.wait_for_selector(".facts")
    assert tab.calls.count("stream-attribute") == 1


def test_a_source_can_be_chosen_and_left(tab: Tab):
    tab.answered(k=20)
    tab.page.get_by_role("button", name="Only log", exact=True).or_(
        tab.page.get_by_role("button", name="Only tale", exact=True)
    ).first.click()
    tab.page.wait_for_selector(".chips")
    source = tab.text(".chip").split()[1]
    tab.page.wait_for_selector(".facts")
    assert {row.split()[0] for row in tab.texts(".hit .from")} == {source}
    tab.page.get_by_role("button", name="Without: source").click()
    tab.page.wait_for_selector(".chips", state="detached")
    tab.page.wait_for_selector(".facts")
    assert len({row.split()[0] for row in tab.texts(".hit .from")}) == 2


def test_a_column_of_layers_filters_by_its_layer(tab: Tab):
    tab.answered()
    columns = tab.page.get_by_role("button", name="alone")
    name = columns.first.get_attribute("aria-label")
    columns.first.click()
    tab.page.wait_for_selector(".chips")
    tab.page.wait_for_selector(".facts")
    assert "layers" in tab.text(".chip")
    assert tab.page.get_by_role("button", name=name).get_attribute("aria-pressed") == "true"


def test_filters_of_the_form_reach_the_service(tab: Tab):
    tab.go("ask", **ASKED)
    tab.page.wait_for_selector(".facts")
    tab.page.get_by_text("Options").click()
    tab.page.get_by_label("Metadata").fill("year=1910")
    tab.page.get_by_role("button", name="Ask").click()
    tab.page.wait_for_selector(".chips")
    tab.page.wait_for_selector(".facts")
    assert all("doc10#" in row for row in tab.texts(".hit .from"))


@pytest.mark.parametrize("key", ["Control+Enter", "Meta+Enter"])
def test_the_keyboard_is_enough(tab: Tab, key: str):
    tab.go("ask", **{**ASKED, "edit": 1})
    tab.page.get_by_label("Completion").press(key)
    tab.page.wait_for_selector(".hit")
    tab.page.locator(".hit").first.focus()
    tab.page.keyboard.press("ArrowDown")
    second = tab.page.locator(".hit").nth(1)
    assert second.get_attribute("aria-current") == "true"
    assert second.get_attribute("data-id") in tab.text(".reader h2")


def test_a_conversation_is_asked_as_one(open_tab, url: str):
    tab = open_tab(url).go("ask", messages=json.dumps([{"role": "user", "content": "the keeper"}]))
    tab.page.wait_for_selector(".turn")
    tab.page.get_by_role("button", name="Add a message").click()
    tab.page.get_by_label("Message", exact=True).last.fill("lit the lamp")
    with tab.page.expect_request("**/v1/stream-attribute") as sent:
        tab.page.get_by_role("button", name="Ask").click()
    messages = json.loads(sent.value.post_data)["query"]["chat"]["messages"]
    assert messages == [
        {"role": "user", "content": "the keeper"},
        {"role": "assistant", "content": "lit the lamp"},
    ]


def test_a_scan_shows_its_progress_and_a_ranking_that_settles(open_tab, slow, tmp_path):
    from e2e.test_explore import explore

    with explore(tmp_path / "log", slow.front.address) as running:
        tab = open_tab(running.url).go("ask", **ASKED, search="full-scan")
        tab.page.wait_for_selector(".hit")
        assert "So far" in tab.text(".ranking h2")
        assert "sequences" in tab.text(".progress")
        assert "#" in tab.texts(".hit .from")[0]
        tab.page.wait_for_selector(".facts")
        assert "So far" not in tab.text(".results")


def test_a_search_that_is_stopped_shows_nothing_of_itself(open_tab, slow, tmp_path):
    from e2e.test_explore import explore

    with explore(tmp_path / "log", slow.front.address) as running:
        tab = open_tab(running.url).go("ask", **ASKED, search="full-scan", k=7)
        tab.page.wait_for_selector(".hit")
        tab.page.get_by_role("button", name="Stop").click()
        tab.page.wait_for_selector(".note")
        assert "Stopped" in tab.text(".note")
        assert tab.page.locator(".hit").count() == 0
