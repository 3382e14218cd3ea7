"""The page of a certificate: valid, self-contained, and with every figure, or the word that it was not measured."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from certificates.examples import EMPTY, WHOLE, bound_to, negatives_shown
from whence_backends.certificates import Certificate, Kind
from whence_backends.certificates.page import page

HOSTILE = "<script>alert('x')</script> & \"friends\""
VOID = {"meta", "line", "rect", "circle"}
CASES = {
    "whole": WHOLE,
    "empty": EMPTY,
    "proxy": replace(WHOLE, kind=Kind.PROXY),
    "negatives": negatives_shown(),
    "hostile": bound_to(WHOLE, model=HOSTILE, model_digest=HOSTILE),
}


class Page(HTMLParser):
    """The elements, attributes and text of a page; it fails where an end is not that of the innermost element."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attributes)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += f" {data}"


@pytest.fixture(params=CASES)
def certificate(request: pytest.FixtureRequest) -> Certificate:
    return CASES[request.param]


def test_the_page_is_well_formed_and_needs_nothing_else(certificate: Certificate) -> None:
    """Broken by: leaving a name unescaped."""
    html = page(certificate)
    read = Page(html)
    assert html.startswith("<!DOCTYPE html>")
    assert not read.tags & {"script", "link", "img", "iframe", "object"}
    assert not read.attributes & {"src", "href", "onload", "onclick", "style"}
    assert "url(" not in html
    assert certificate.subject.model in read.text


def test_every_figure_is_there() -> None:
    text = Page(page(WHOLE)).text
    for figure in (
        "0.52 ± 0.05", "ceiling 0.80", "0.59 ± 0.04", "0.61 ± 0.04", "0.06 ± 0.03", "0.45 ± 0.04", "0.41 ± 0.05",
        "40 subsets of 50%", "24 of them again", "24 queries", "3.24 ± 0.58", "+2.72", "100%", "-0.08 ± 0.08",
        "0.992", "0.991", "0.997", "bfloat16 with float32", "within 2e-06", "49% of the model's", "0.91 ± 0.02",
        "gives 0.55", "33% of first hits", "41% of the first ten", "93% of the 95% intervals", "2026-11-26",
        "2 cores, no GPU", "retrained from scratch", "blake3:m", "blake3:f", "blake3:c", "not shown", "none took part",
    ):  # fmt: skip
        assert figure in text, figure


def test_what_was_not_measured_is_said_to_be() -> None:
    """Broken by: leaving out a row, or a section, that has no figures."""
    text = Page(page(EMPTY)).text
    tiles, sections, stability, checks = 4, 2, 6, 7
    assert text.count("not measured") == tiles + sections + stability + checks + 1  # the ceiling
    assert "Not held against retraining." in text
    some = Page(page(replace(WHOLE, lds=replace(WHOLE.lds, bm25=None)))).text
    assert "Not measured: BM25." in some


def test_a_proxys_page_says_so_in_words() -> None:
    text = Page(page(CASES["proxy"])).text
    assert "proxy model" in text
    assert "It does not say how true the influences of the served model are." in text
    assert "Weights of the proxy model" in text
    assert "proxy" not in Page(page(WHOLE)).text


def test_bars_lie_within_the_chart_whatever_their_sign() -> None:
    """Broken by: a scale that begins at zero."""
    from whence_backends.certificates import Estimate
    from whence_backends.certificates.page.charts import Bar, bars

    chart = bars([Bar(name="a", value=Estimate.of(-0.4, 0.1)), Bar(name="b", value=Estimate.of(0.2))], label="c")
    widths = [float(part.split('"')[0]) for part in chart.split(' width="')[1:]]
    starts = [float(part.split('"')[0]) for part in chart.split(' x="')[1:]]
    assert all(width > 0 for width in widths)
    assert all(0 <= start <= 760 for start in starts)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_chart_of_a_single_value_is_drawn(value: float) -> None:
    from whence_backends.certificates import Estimate
    from whence_backends.certificates.page.charts import Bar, bars

    assert "nan" not in bars([Bar(name="a", value=Estimate.of(value))], label="c")
