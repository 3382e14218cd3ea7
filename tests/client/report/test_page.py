"""The page of a report: whole, safe, and with everything that the results have."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

import whence
from client.report.conftest import HOSTILE, QUESTION, Page
from whence import report
from whence.report.style import STYLE

NAMES = ["attribution", "batch", "groups", "self", "scores", "explanation"]
ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "a", "header", "main", "footer", "nav", "section", "details",
    "summary", "h1", "h2", "h3", "h4", "p", "ul", "ol", "li", "dl", "dt", "dd", "div", "span", "b", "bdi", "code",
    "mark", "figure", "table", "thead", "tbody", "tr", "th", "td", "svg", "rect", "line", "path",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "href", "class", "id", "open", "dir", "title", "style", "role",
    "tabindex", "scope", "colspan", "viewbox", "preserveaspectratio", "x", "y", "x1", "x2", "y1", "y2", "width",
    "height", "d", "aria-label",
}  # fmt: skip


def check(source):
    """Return the page, of which nothing runs and nothing is from elsewhere."""
    page = Page(source)
    assert page.tags <= ELEMENTS
    assert {name for name, _ in page.attributes} <= ATTRIBUTES
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    assert "default-src 'none'; style-src 'unsafe-inline'" in [value for _, value in page.attributes]
    assert not re.search(r"url\(|@import|expression|javascript", "".join(v for n, v in page.attributes if n == "style"))
    assert not re.search(r"url\(|@import|http", STYLE)
    assert len(set(page.ids)) == len(page.ids)
    return page


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_whole_and_needs_nothing_from_elsewhere(results, name):
    page = check(report.html([results[name]]))
    assert "the corpus is small" in page.text.lower()
    assert "aa" * 32 in page.text
    assert "Influences were not validated for this model" in page.text


def test_a_ranking_has_every_hit_with_its_numbers(results):
    answer = results["attribution"]
    page = check(report.html([answer]))
    for hit in answer:
        assert hit.sequence_id in page.text
        assert hit.text in page.text
        assert f"{hit.influence:+.3g}" in page.text
    assert "97 % sure" in page.text
    assert page.text.index("from here on nothing is told from noise") > page.text.index("97 % sure")
    assert "below +0.0008 nats, are not told from noise" in page.text
    assert "90%" in page.text
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert any(label.startswith("Influence by depth: 0 +") for label in labels)


def test_what_was_asked_stands_first(results):
    asked = report.Asked(query=whence.Query.text(**QUESTION), options={"top_k": 3}, date="2026-11-27T10:00:00+00:00")
    page = check(report.html([report.Saved(result=results["attribution"], asked=asked)]))
    assert "asked 2026-11-27 10:00:00 UTC" in page.text
    assert "top k: 3" in page.text
    assert page.text.index("The capital of Durrow is") < page.text.index("letters/durrow-1#0")


@pytest.mark.parametrize(
    "query",
    [
        whence.Query.chat(
            [("user", "Which town?"), {"role": "assistant", "content": "!", "tool_calls": [{"id": "t1"}]}]
        ),
        whence.Query.tokens(range(1, 3000), 2),
        whence.Query.text("long " * 9000, " end"),
    ],
)
def test_every_kind_of_query_is_shown(results, query):
    page = check(report.html([report.Saved(result=results["attribution"], asked=report.Asked(query=query))]))
    assert any(part in page.text for part in ("t1", "(2,997 in all)", "All 45,000 characters"))


def test_of_a_long_prompt_the_end_is_shown_and_of_a_long_output_the_beginning(results):
    query = whence.Query.text("far " * 900 + "near", "near " + "far " * 900)
    source = report.html([report.Saved(result=results["attribution"], asked=report.Asked(query=query))])
    prompt, output = re.findall(r'<p class="text" dir="auto">([^<]*)</p><details>', source)[:2]
    assert prompt.endswith("near")
    assert output.startswith("near")
    assert max(len(prompt), len(output)) < 1000


def hostile(results):
    answer = results["attribution"]
    tokens = (whence.TokenInfluence(text=HOSTILE, start=0, end=len(HOSTILE), influence=1.0),)
    hit = replace(
        answer[0], text=HOSTILE, tokens=tokens, source=HOSTILE, sequence_id=HOSTILE, document_id=HOSTILE,
        metadata={HOSTILE: HOSTILE}, layer_influence={HOSTILE: 1.0, "b": -1.0},
    )  # fmt: skip
    warned = (whence.AnswerWarning(code=HOSTILE, message=HOSTILE),)
    provenance = replace(answer.provenance, model=HOSTILE, model_digest=HOSTILE, attributed_layers=(HOSTILE,))
    about = {"warnings": warned, "provenance": provenance, "request_id": HOSTILE}
    group = replace(results["groups"].total, name=HOSTILE)
    return [
        replace(answer, query_id=HOSTILE, positive=(hit,), negative=(hit,), **about),
        replace(results["groups"], groups=(group,), **about),
        replace(results["scores"], query_ids=(HOSTILE,), sequences=(hit, hit), **about),
        replace(results["self"], hits=(hit,), **about),
        replace(results["explanation"], sequence=hit, tokens=tokens, layers=(HOSTILE,), parts=((1.0,),), **about),
    ]


def test_texts_are_never_markup(results):
    query = whence.Query.chat([(HOSTILE, HOSTILE), {"role": "assistant", "content": HOSTILE, HOSTILE: HOSTILE}])
    asked = report.Asked(query=query, options={HOSTILE: HOSTILE}, date=HOSTILE)
    saved = [report.Saved(result=result, asked=asked, name=HOSTILE) for result in hostile(results)]
    page = check(report.html(saved, title=HOSTILE))
    assert "<script>alert(1)</script>" in page.text
    assert not {"\u202e", "\u2066", "\x1b", "\x00", "\u2028"} & set(page.text)
    assert "👩‍👩‍👧‍👦" in page.text


def test_values_that_are_no_numbers_do_not_break_it(results):
    answer, explanation = results["attribution"], results["explanation"]
    tokens = tuple(replace(token, influence=math.nan) for token in answer[0].tokens)
    broken = replace(answer[0], influence=math.inf, signal=math.nan, tokens=tokens, layer_influence={"a": math.nan})
    parts = tuple(tuple(math.nan for _ in row) for row in explanation.parts)
    group = replace(results["groups"].total, signal=math.nan, influence=math.inf)
    check(report.html([
        replace(answer, positive=(broken,), log_likelihood=math.nan),
        replace(explanation, parts=parts, influence=math.nan),
        replace(results["groups"], groups=(group,)),
        replace(results["scores"], influence=((math.nan, -math.inf),)),
    ]))  # fmt: skip


def test_an_answer_without_hits_says_so(results):
    empty = replace(results["attribution"], positive=(), negative=())
    assert "No sequence has an influence of the sign" in check(report.html([empty])).text


def test_several_results_have_contents_that_lead_to_them(results):
    page = check(report.html(results.values()))
    links = [value for name, value in page.attributes if name == "href"]
    assert {f"#r{place}" for place in range(1, 8)} <= set(links)
    assert {link.removeprefix("#") for link in links} <= set(page.ids)


def test_results_of_two_generations_are_told_apart(results):
    answer = results["attribution"]
    other = replace(answer, provenance=replace(answer.provenance, corpus_digest="dd" * 32))
    page = check(report.html([answer, other]))
    assert "2 different sets of model, factors" in page.text
    assert "dd" * 32 in page.text
    assert "different sets" not in check(report.html([answer, answer])).text


def test_the_same_results_make_the_same_page(results):
    made = datetime(2026, 11, 27, tzinfo=UTC)
    pages = {report.html(results.values(), made=made) for _ in range(2)}
    assert len(pages) == 1


def test_what_would_make_the_file_too_large_is_left_out_and_named(results, monkeypatch):
    monkeypatch.setattr("whence.report.page.LARGEST_BYTES", 30_000)
    answer = results["attribution"]
    many = [replace(answer, query_id=f"query {number}") for number in range(20)]
    made = report.html_report(many)
    assert 0 < made.sections < 20
    assert len(made.html.encode()) < 60_000
    assert made.left_out[-1] == "query 19"
    assert "query 19" in check(made.html).text


def test_a_long_sequence_is_summed_into_few_columns(results):
    explanation = results["explanation"]
    words = 10_000
    text = " tok" * words
    tokens = tuple(
        whence.TokenInfluence(text=" tok", start=4 * at, end=4 * at + 4, influence=1e-3 * (at % 7 - 3))
        for at in range(words)
    )
    parts = tuple(tuple(token.influence / 5 for token in tokens) for _ in explanation.layers)
    long = replace(explanation, sequence=replace(explanation.sequence, text=text), tokens=tokens, parts=parts)
    source = report.html([long])
    assert "the sum over 63 tokens" in check(source).text
    assert len(source) < 2_000_000


def test_a_map_of_many_depths_has_cells_with_words(results):
    answer = results["attribution"]
    layers = {f"layers.{depth}.mlp.up": 1e-3 * (depth - 20) for depth in range(48)}
    deep = replace(answer, positive=tuple(replace(hit, layer_influence=layers) for hit in answer.positive), negative=())
    page = check(report.html([deep]))
    assert "Columns are depths, 0 to 47" in page.text
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert any(label.startswith("1 letters: strongest 47 +0.027") for label in labels)


def test_contrast_of_letters_is_enough_in_both_schemes():
    schemes = re.findall(r"\{((?:color-scheme:[\w ]+;)?(?:--[\w-]+:#\w{6};)+)", STYLE)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--([\w-]+):(#\w{6})", scheme))
        steps = [name for name in colours if re.fullmatch(r"[pn]\d", name)]
        assert len(steps) == 12
        pairs = [("ink", step) for step in steps]
        pairs += [(letter, "paper") for letter in ("ink", "soft", "accent", "positive", "negative")]
        pairs += [(letter, "raised") for letter in ("ink", "soft")]
        pairs += [(letter, "ground") for letter in ("ink", "soft", "accent")]
        assert min(contrast(colours[front], colours[back]) for front, back in pairs) >= 4.5


def contrast(front, back):
    """Return the contrast of two colours (WCAG 2.2, relative luminance)."""
    light, dark = sorted((luminance(front), luminance(back)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
