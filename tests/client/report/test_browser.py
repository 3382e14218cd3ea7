"""The page in a real browser: nothing runs, nothing is asked for, everybody can read it, long ones are usable."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace

import pytest

import whence
from client.report.conftest import HOSTILE, judged
from client.report.test_page import hostile
from client.report.test_runs import with_signals
from whence import report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian's package chromium)")
SIZES = {"desk": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Return the function that opens a report's HTML, with all that is folded up open.

    What the page asked for is in its ``requests``, what it complained of in its ``complaints``.
    """
    contexts = []

    def open_page(html, *, size="desk", scheme="light", unfolded=True):
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.requests, page.complaints, page.failures = [], [], {}
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("requestfailed", lambda request: page.failures.update({request.url: request.failure}))
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("dialog", lambda dialog: page.complaints.append(dialog.message))
        (tmp_path / "report.html").write_bytes(html.encode("utf-8", "replace"))
        page.goto((tmp_path / "report.html").as_uri())
        if unfolded:
            page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def everything(results, table):
    """A page with every kind of section."""
    rows = [judged(f"task{number % 3}", number % 2 == 0, number) for number in range(6)]
    path = with_signals(table(rows, include_layers=True, include_tokens=True), {})
    query = whence.Query.chat([("user", "Which town?"), ("assistant", "Brelary")])
    asked = report.Asked(query=query, options={"top_k": 5}, date="2026-11-27T10:00:00+00:00")
    saved = [report.Saved(result=result, asked=asked) for result in results.values()]
    return report.html([*saved, *report.read([path]).results], full=3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_sees_nothing_that_keeps_people_out(opened, everything, size, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe_playwright_python is not installed")
    found_by_axe = axe.Axe().run(opened(everything, size=size, scheme=scheme)).response
    assert found_by_axe["passes"]
    assert not [
        (violation["id"], violation["nodes"][0]["html"][:200], violation["nodes"][0]["failureSummary"])
        for violation in found_by_axe["violations"]
    ]


@pytest.mark.parametrize("size", SIZES)
def test_the_page_is_no_wider_than_the_screen(opened, everything, size):
    page = opened(everything, size=size)
    assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]


def test_hostile_texts_neither_run_nor_ask_nor_break_out(opened, results):
    query = whence.Query.text(HOSTILE, HOSTILE)
    saved = [report.Saved(result=result, asked=report.Asked(query=query)) for result in hostile(results)]
    page = opened(report.html(saved, title=HOSTILE), size="phone")
    page.wait_for_timeout(300)
    assert [url for url in page.requests if not url.startswith("file:")] == []
    assert len(page.requests) == 1
    assert page.complaints == []
    assert page.locator("script, img, iframe, object, base, link, form, body style").count() == 0
    assert page.locator("#provenance").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == SIZES["phone"][0]


def test_what_got_in_all_the_same_would_not_run(opened, results):
    html = report.html([results["attribution"]])
    page = opened(html.replace("</main>", "<script>document.title = 'run'</script><img src='https://a.test/x'></main>"))
    assert page.title() != "run"
    assert page.failures == {"https://a.test/x": "csp"}
    assert sum("Content Security Policy" in complaint for complaint in page.complaints) == 2


def test_the_keyboard_reaches_the_results_and_opens_what_is_folded(opened, results):
    page = opened(report.html(results.values()), unfolded=False)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("details.guide").first.get_attribute("open") is not None


def test_paper_shows_every_hit(opened, results, tmp_path):
    page = opened(report.html([results["attribution"]]), unfolded=False)
    page.emulate_media(media="print")
    assert page.locator(".hit").last.is_visible()
    assert page.locator(".guide dd").last.is_visible()
    assert page.pdf(path=tmp_path / "report.pdf").startswith(b"%PDF")


def test_a_thousand_hits_are_usable(opened, results):
    answer = results["attribution"]
    text = "The capital of Durrow is Brelary, an old town. " * 60
    tokens = tuple(
        whence.TokenInfluence(text=text[at : at + 4], start=at, end=at + 4, influence=1e-4 * (at % 11 - 5))
        for at in range(0, len(text), 4)
    )
    hit = replace(answer[0], text=text, tokens=tokens)
    many = replace(answer, positive=tuple(replace(hit, rank=rank) for rank in range(1, 1001)), positive_significant=10)
    page = timed("hits_1000", opened, report.html([many]))
    assert page.locator(".hit").count() == 1000 + len(many.negative)


def test_an_explanation_of_ten_thousand_tokens_is_usable(opened, results):
    explanation = results["explanation"]
    layers = tuple(f"layers.{depth}.mlp.up" for depth in range(48))
    tokens = tuple(
        whence.TokenInfluence(text=" tok", start=4 * at, end=4 * at + 4, influence=1e-3 * (at % 7 - 3))
        for at in range(10_000)
    )
    parts = tuple(tuple(token.influence / 48 for token in tokens) for _ in layers)
    sequence = replace(explanation.sequence, text=" tok" * 10_000)
    long = replace(explanation, sequence=sequence, tokens=tokens, parts=parts, layers=layers)
    page = timed("tokens_10000", opened, report.html([long]))
    assert page.locator("svg.cells").count() == 48


def timed(name, opened, html):
    """Open a page, scroll to its end, and print how long that took."""
    began = time.monotonic()
    page = opened(html)
    opened_s = time.monotonic() - began
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    ended_s = time.monotonic() - began
    print(json.dumps({"page": name, "kB": len(html) // 1000, "open_s": round(opened_s, 2), "end_s": round(ended_s, 2)}))
    return page
