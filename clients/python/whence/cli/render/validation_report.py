"""The report of a validation: methods against retraining, effects by rank, signs, significance, sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from whence.display.wording import number
from whence.terminal import printable

_ALL: Final = "all"
# A difference of so many standard errors is bold.
_CLEAR: Final = 2.0


def validation_report(report: Mapping[str, Any]) -> RenderableType:
    """Return the tables of a report, which is given as JSON (``report.json``)."""
    basis = report["basis"]
    head = Text(
        f"{basis['subsets']} models of random parts of the corpus ({basis['repeated']} with a second seed), "
        f"{basis['full']} of all of it, {basis['without']} without a source; {basis['queries']} queries, "
        f"{basis['sequences']:,} sequences.",
        style="dim",
    )
    return Group(
        head,
        *(Text(printable(note), style="yellow") for note in report["notes"]),
        _methods(report),
        *(_ranks(table) for table in report["ranks"] if table["method"] == report["reference"]),
        *_calibration(report["calibration"]),
        *_memorisation(report["memorisation"]),
        *_groups(report["groups"]),
        *_removals(report["removals"]),
    )


def _methods(report: Mapping[str, Any]) -> Table:
    table = _table("method", "LDS", *report["kinds"], f"less {report['reference']}", "slope")
    for row in report["methods"]:
        by_kind = (_figure(row["by_kind"][kind]) for kind in report["kinds"])
        table.add_row(
            printable(row["name"]), _figure(row["lds"]), *by_kind, _difference(row["difference"]),
            _figure(row["slope"], "+.2f"),
        )  # fmt: skip
    table.add_section()
    table.add_row("a perfect method", _figure(report["ceiling"]))
    ceiling = report["ceiling"]
    table.caption = f"ceiling: {printable(ceiling['reason'])}" if "reason" in ceiling else None
    return table


def _ranks(ranks: Mapping[str, Any]) -> Table:
    kind = "" if ranks["kind"] == _ALL else f", {printable(ranks['kind'])}"
    table = _table(f"rank by {printable(ranks['method'])}{kind}", "predicted", "measured", "right signs")
    for row in ranks["effects"]:
        rank = f"{row['first']}" if row["first"] == row["last"] else f"{row['first']} to {row['last']}"
        table.add_row(rank, _nats(row["predicted"]), _nats(row["measured"]), _share(row["right_signs"]))
    return table


def _calibration(calibration: Mapping[str, Any]) -> Iterator[RenderableType]:
    if "reason" in calibration:
        yield _missing("significance", calibration)
        return
    table = _table("claimed probability of the sign", "hits", "right if true", "right as measured")
    for row in calibration["bins"]:
        expected = f"{row['expected']:.2f}" if row["hits"] else "-"
        table.add_row(f"{row['low']} to {row['high']}", f"{row['hits']:,}", expected, _share(row["measured"]))
    yield table
    yield Text(
        f"A nat told from noise was measured as {calibration['size']:.2f}. The {calibration['noise_hits']:,} hits "
        f"called noise: mean effect {_figure(calibration['noise_effect'])} errors towards their sign "
        f"({calibration['noise_claimed']:+.3f} by their signal).",
        style="dim",
    )


def _memorisation(memorised: Mapping[str, Any]) -> Iterator[RenderableType]:
    if "reason" in memorised:
        yield _missing("self-influence against memorisation", memorised)
        return
    yield Text(
        f"self-influence against memorisation: rank correlation {_figure(memorised['spearman'])}; of its first "
        f"{memorised['top']} {memorised['overlap']:.0%} are among the most memorised "
        f"({memorised['overlap_by_chance']:.0%} by chance)"
    )


def _groups(groups: list[Mapping[str, Any]]) -> Iterator[RenderableType]:
    compared = [row for row in groups if "reason" not in row["agreement"]]
    if not compared:
        why = groups[0]["agreement"] if groups else {"reason": "no model was trained without a source"}
        yield _missing("sums over sources", why)
        return
    table = _table("without a source", "rank correlation", "slope", "coverage of 95 %")
    for row in compared:
        agreement = row["agreement"]
        table.add_row(
            printable(row["method"]), _figure(agreement["spearman"]), _figure(agreement["slope"], "+.2f"),
            _share(agreement["coverage"]),
        )  # fmt: skip
    yield table


def _removals(removals: list[Mapping[str, Any]]) -> Iterator[RenderableType]:
    if not removals:
        yield _missing("top hits removed", {"reason": "no model was trained without the top hits of a method"})
        return
    table = _table("without the first documents of", "documents", "queries", "change", "less random ones", "lose more")
    for row in removals:
        lost = "-" if row["lost"] is None else f"{row['lost']:.0%}"
        cells = (f"{row['count']:,}", f"{row['queries']}", _nats(row["change"]), _nats(row["beyond_random"]), lost)
        table.add_row(printable(row["method"]), *cells)
    table.caption = (
        "nats of a query's log-likelihood, against models of everything; paired by query with random documents"
    )
    yield table


def _table(first: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption_justify="left")
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(printable(column), justify="right", no_wrap=True)
    return table


def _missing(name: str, value: Mapping[str, Any]) -> Text:
    return Text(f"{name}: not known; {printable(value['reason'])}", style="dim")


def _figure(value: Mapping[str, Any], form: str = "+.3f") -> str:
    if "reason" in value:
        return "-"
    return f"{value['value']:{form}} ± {value['standard_error']:{form.lstrip('+')}}"


def _difference(value: Mapping[str, Any]) -> Text:
    clear = "reason" not in value and abs(value["value"]) > _CLEAR * value["standard_error"]
    return Text(_figure(value), style="bold" if clear else "")


def _nats(value: Mapping[str, Any]) -> str:
    if "reason" in value:
        return "-"
    return f"{number(value['value'])} ± {number(value['standard_error']).lstrip('+')}"


def _share(value: Mapping[str, Any]) -> str:
    return "-" if "reason" in value else f"{value['value']:.2f} ({value['low']:.2f} to {value['high']:.2f})"
