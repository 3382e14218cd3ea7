"""The sections of a report: one for each result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from whence.display.markup import Markup, element, joined
from whence.report import asked as what
from whence.report.about import warnings
from whence.report.attributions import attribution
from whence.report.explanations import explanation
from whence.report.groups import group_influences
from whence.report.overlaps import text_overlaps
from whence.report.scores import score_table, self_influences
from whence.results import (
    Answer,
    Attribution,
    Attributions,
    Explanation,
    GroupInfluences,
    ScoreTable,
    SelfInfluences,
    TextOverlaps,
)
from whence.saved import Asked, Saved

_LONGEST: Final = 200


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section: its name in the contents, the line above its heading, its answers, its parts, made on demand."""

    label: str
    eyebrow: str
    parts: Iterator[Markup]
    answer: Answer | None = None

    @property
    def name(self) -> str:
        """The label, of a length that a heading may have."""
        return self.label if len(self.label) <= _LONGEST else f"{self.label[:_LONGEST]}…"

    def markup(self, anchor: str, title: str) -> Markup:
        """Return the section, to which a link leads by its anchor, on a page of a title."""
        eyebrow = joined() if self.eyebrow == title else element("p", self.eyebrow, class_="eyebrow")
        head = element("header", eyebrow, element("h2", self.name))
        return element("section", head, *self.parts, class_="card", id=anchor)


def sections(saved: Saved) -> Iterator[Section]:
    """Yield the sections of a result: of a batch one for each query."""
    match saved.result:
        case Attributions() as batch:
            yield from _of_batch(batch, saved.asked)
        case result:
            yield _section(result, saved.asked, _TITLES[type(result)])


def _of_batch(batch: Sequence[Attribution], asked: Asked) -> Iterator[Section]:
    warned = dict.fromkeys(warning for ranking in batch for warning in ranking.warnings)
    overview = iter([what.options(asked), warnings(warned)])
    yield Section(label=f"{len(batch):,} outputs", eyebrow="A batch", parts=overview)
    for place, ranking in enumerate(batch, 1):
        yield Section(
            label=ranking.query_id or f"Query {place}",
            eyebrow=_EYEBROWS[Attribution],
            parts=attribution(ranking, of_batch=True),
            answer=ranking,
        )


def _section(result: Answer, asked: Asked, title: str) -> Section:
    query_id = result.query_id if isinstance(result, Attribution) else ""
    return Section(
        label=what.label(asked.query, query_id or title),
        eyebrow=_EYEBROWS[type(result)],
        parts=_parts(result, asked),
        answer=result,
    )


def _parts(result: Answer, asked: Asked) -> Iterator[Markup]:
    yield what.exchange(asked.query)
    yield what.options(asked)
    match result:
        case Attribution():
            yield from attribution(result)
        case Explanation():
            yield from explanation(result)
        case GroupInfluences():
            yield from group_influences(result)
        case ScoreTable():
            yield from score_table(result)
        case SelfInfluences():
            yield from self_influences(result)
        case TextOverlaps():
            yield from text_overlaps(result)
        case _:
            yield joined()


_EYEBROWS: Final[dict[type[Answer], str]] = {
    Attribution: "Where this output came from",
    Explanation: "One training sequence, explained",
    GroupInfluences: "How much comes from each group",
    ScoreTable: "Given sequences, scored",
    SelfInfluences: "Sequences unlike the others",
    TextOverlaps: "How much is in the training text",
}
_TITLES: Final[dict[type[Answer], str]] = {
    Attribution: "An output",
    Explanation: "An explanation",
    GroupInfluences: "Groups",
    ScoreTable: "Scores",
    SelfInfluences: "Self-influence",
    TextOverlaps: "Overlap",
}
