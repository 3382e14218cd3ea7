"""The sections of scores of given sequences, and of sequences that influence themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from whence.display.markup import Markup, element, joined
from whence.display.wording import influence_on
from whence.report.about import counted, fact_line, warnings, work
from whence.report.hits import hits
from whence.report.marks import largest, step
from whence.report.tables import cut, row, table
from whence.results import ScoreTable, SelfInfluences

# Of a larger table the beginning is shown.
_ROWS: Final = 200
_TEXT: Final = 300


def score_table(result: ScoreTable) -> Iterator[Markup]:
    """Yield the parts of the section of scores: a row for each sequence, a column for each query."""
    queries = list(enumerate(result.query_ids, 1))[:12]
    yield fact_line(
        [
            f"{counted(len(result.query_ids), 'query', 'queries')} by "
            f"{counted(len(result.sequences), 'sequence', 'sequences')}",
            *(
                f"log-likelihood of {name or f'query {number}'}: {result.log_likelihood[number - 1]:.3f} nats"
                for number, name in queries[:3]
            ),
        ]
    )
    yield warnings(result.warnings)
    yield element("h3", "Influence of each sequence")
    most = largest(value for values in result.influence for value in values)
    columns = [
        name or (f"query {number}" if len(result.query_ids) > 1 else "influence, nats") for number, name in queries
    ]
    rows = [
        row(_name(result, place), *_values(result, place, len(queries), most))
        for place in range(min(len(result.sequences), _ROWS))
    ]
    yield table(["sequence", *columns], rows, label="Influence of each sequence")
    if len(rows) < len(result.sequences) or len(queries) < len(result.query_ids):
        yield element(
            "p", f"The first {len(rows):,} sequences and {len(queries)} queries are shown.", class_="soft small"
        )
    yield work(result)


def self_influences(result: SelfInfluences) -> Iterator[Markup]:
    """Yield the parts of the section of outliers."""
    about = (
        "The effect of a sequence's presence on its own log-likelihood: large for texts that the model knows by heart, "
        "and for those that are unlike all others."
    )
    yield element("p", about, class_="soft")
    yield warnings(result.warnings)
    yield element("h3", "Influence themselves most")
    yield hits(result.hits, float("-inf"))
    yield work(result)


def _name(result: ScoreTable, place: int) -> Markup:
    sequence, name = result.sequences[place], result.sequence_names[place]
    content = sequence.text if len(sequence.text) <= _TEXT else f"{sequence.text[:_TEXT]}…"
    source = joined(cut(sequence.source), " ") if sequence.source else joined()
    return joined(
        source, element("span", cut(name), class_="soft"), element("p", content, class_="text small", dir="auto")
    )


def _values(result: ScoreTable, place: int, queries: int, most: float) -> Iterator[Markup]:
    for values, log_likelihood in zip(result.influence[:queries], result.log_likelihood[:queries], strict=True):
        value = values[place]
        yield element("td", influence_on(value, log_likelihood), class_=f"num tint {step(value, most)}".strip())
