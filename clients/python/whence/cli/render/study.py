"""The tables of studies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from whence.terminal import printable

if TYPE_CHECKING:
    from whence.analysis import Concentration, Distribution, QueryInfluences


# Below this probability a likelihood ratio tells two families apart.
SURE: Final = 0.1


def distributions_report(
    studies: Sequence[Distribution], queries: Sequence[QueryInfluences], written: Sequence[Path]
) -> RenderableType:
    """Return a row for each query's tail, what the figures mean, and where they were written."""
    table = _table("query", "tail", "exponent", "KS p", "noise alone", "so")
    for study in studies:
        table.add_row(
            printable(study.query_id),
            f"{study.tail} of {study.sequences:,}",
            f"{study.exponent:.2f} ± {study.standard_error:.2f}",
            f"{study.ks_p:.2f}",
            f"{study.noise_tail.low:.2f} to {study.noise_tail.high:.2f}",
            ", ".join(_findings(study)),
        )
    apart = sum(study.differs_from_noise for study in studies)
    lines = [
        f"{studies[0].convention}.",
        "rejected: KS p below 0.1. differs: not the exponent of noise. A family is named where it is surely likelier.",
        f"{apart} of {len(studies)} exponents are outside of the middle 95 % of what noise alone gives.",
    ]
    return Group(table, *map(Text, lines), *_ends(queries, written))


def concentrations_report(
    studies: Sequence[Concentration], queries: Sequence[QueryInfluences], written: Sequence[Path]
) -> RenderableType:
    """Return a row for each query's shares, what the figures mean, and where they were written."""
    table = _table("query", "first 1 %", "noise alone", "signal", "half", "noise's", "so")
    for study in studies:
        top = study.top
        table.add_row(
            printable(study.query_id),
            f"{top.influence:.1%}",
            f"{top.noise_low:.1%} to {top.noise_high:.1%}",
            "-" if top.signal is None else f"{top.signal:.1%}",
            f"{study.half:,}",
            f"{study.half_of_noise:,.0f}",
            "differs" if study.differs_from_noise else "",
        )
    apart = sum(study.differs_from_noise for study in studies)
    lines = [
        f"first 1 %: {studies[0].convention}, k = 1; signal: the same of the signals' total.",
        "half: the number of sequences that have half of the total, and of noise alone.",
        f"{apart} of {len(studies)} are outside of the middle 95 % of what noise alone gives.",
    ]
    return Group(table, *map(Text, lines), *_ends(queries, written))


def _findings(study: Distribution) -> Iterator[str]:
    if study.rejected:
        yield "rejected"
    if study.differs_from_noise:
        yield "differs"
    yield from (other.family for other in study.alternatives if other.log_likelihood_ratio < 0 and other.p < SURE)


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(names[0], overflow="fold")
    for name in names[1:-1]:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(names[-1], min_width=8)
    return table


def _ends(queries: Sequence[QueryInfluences], written: Sequence[Path]) -> Iterator[Text]:
    missing = sum(query.missing for query in queries)
    if missing:
        yield Text(f"{missing:,} pairs have no influence in the files, and were left out.", style="yellow")
    names = ", ".join(path.name for path in written)
    yield Text(printable(f"{written[0].parent}: {names}"), style="dim")
