"""Hits, each with its numbers, its text and its layers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from whence.display.markup import Markup, element, joined
from whence.display.passages import by_depth, excerpt
from whence.display.wording import influence_on, number, percent
from whence.report.about import pairs
from whence.report.charts import layer_strip
from whence.report.marks import listed, marked, signed
from whence.results import Hit
from whence.significance import is_significant

# Of so many hits the whole text can be opened, up to so many characters of it.
_WHOLE: Final = 50
# From so many hits on a browser draws those that are in view.
_MANY: Final = 100
_LONGEST: Final = 20_000
_METADATA: Final = 400


def hits(items: Sequence[Hit], log_likelihood: float, *, significant: int | None = None) -> Markup:
    """Return the hits in order, with a line behind the first ``significant`` ones, which are told from noise."""
    drawn = [element("li", *_hit(hit, log_likelihood, place), class_=_class(hit)) for place, hit in enumerate(items)]
    kind = "hits many" if len(items) > _MANY else "hits"
    if significant is None or not items:
        return element("ol", *drawn, class_=kind)
    divide = element("p", element("span", _divide(significant, len(items))), class_="divide")
    lists = [
        element("ol", *part, class_=kind) if part else joined() for part in (drawn[:significant], drawn[significant:])
    ]
    return joined(lists[0], divide, lists[1])


def _divide(significant: int, shown: int) -> str:
    if significant >= shown:
        return "all hits above are told from noise"
    return "from here on nothing is told from noise" if significant else "none of these is told from noise"


def _class(hit: Hit) -> str:
    known = hit.significance is not None
    return "hit quiet" if known and not is_significant(hit.significance) else "hit"


def _hit(hit: Hit, log_likelihood: float, place: int) -> Iterator[Markup]:
    yield element("div", element("span", "rank ", class_="unseen"), str(hit.rank), class_="rank")
    yield element("div", *_measures(hit, log_likelihood), class_="measures")
    yield element("div", *_what(hit, place), class_="what")


def _measures(hit: Hit, log_likelihood: float) -> Iterator[Markup]:
    value = signed(hit.influence, influence_on(hit.influence, log_likelihood))
    yield element("div", value, class_="value")
    if hit.signal is not None and hit.significance is not None:
        yield element("p", f"signal {number(hit.signal)}")
        yield element("p", f"{percent(hit.significance)} sure")
    if hit.layer_influence:
        yield element("figure", layer_strip(by_depth(hit.layer_influence)), style="margin:0")


def _what(hit: Hit, place: int) -> Iterator[Markup]:
    name = element("span", hit.sequence_id, class_="id") if hit.sequence_id else joined()
    yield element("h4", hit.source or "(no source)", " ", name)
    window = excerpt(hit.text, hit.tokens)
    if hit.text:
        yield element("p", marked(hit.text, hit.tokens, window), class_="text", dir="auto")
    else:
        yield element("p", "(its text is not in the result)", class_="soft")
    details = joined(*_details(hit, is_whole=window == (0, len(hit.text)), with_text=place < _WHOLE))
    if details:
        yield element("details", element("summary", "More of this sequence"), details)


def _details(hit: Hit, *, is_whole: bool, with_text: bool) -> Iterator[Markup]:
    if not with_text:
        return
    if not is_whole:
        cut = hit.text[:_LONGEST]
        tokens = [token for token in hit.tokens or () if token.end <= len(cut)]
        more = "…" if len(hit.text) > len(cut) else ""
        yield element("p", marked(cut, tokens), more, class_="text", dir="auto")
    yield listed(hit.tokens or ())
    metadata = json.dumps(hit.metadata, ensure_ascii=False, default=str) if hit.metadata else ""
    yield pairs(
        [
            ("Document", hit.document_id),
            ("Tokens", f"{hit.token_count:,}" if hit.token_count else ""),
            ("Metadata", metadata if len(metadata) <= _METADATA else f"{metadata[:_METADATA]}…"),
            ("Influence before division by N", number(hit.raw_influence)),
        ]
    )
