"""The report of a corpus that was made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from whence.cli.console import stdout
from whence.cli.render.text import share
from whence.terminal import printable

if TYPE_CHECKING:  # numpy, pyarrow: only imported where a corpus is made
    from whence_backends.corpus import IngestReport

_SOURCES_SHOWN = 10
_LEFT_OUT_SHOWN = 20


def print_report(report: IngestReport) -> None:
    """Print the counts of a corpus, and what was left out of it."""
    console = stdout()
    table = Table(show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _summary(report):
        table.add_row(printable(name), printable(value))
    console.print("The same corpus was there already; it is whole." if report.already_there else "Corpus made.")
    console.print(table)
    _print_list("not read", report.unreadable_files, len(report.unreadable_files))
    _print_list("left out", report.first_bad_rows, report.bad_rows)
    _print_list("metadata lost", report.first_bad_cells, report.bad_cells)
    _print_list("skipped", report.skipped_files, len(report.skipped_files))
    for notice in report.notices:
        console.print(printable(str(notice)), style="yellow")
        _print_list("  such as", [printable(str(row)) for row in notice.first], notice.rows)


def _print_list(title: str, shown: Sequence[object], count: int) -> None:
    """Print the first items that are not in the corpus, each with the reason, and how many more there are."""
    console = stdout()
    for item in shown[:_LEFT_OUT_SHOWN]:
        console.print(printable(f"{title}: {item}"), style="yellow")
    if count > (printed := min(len(shown), _LEFT_OUT_SHOWN)):
        console.print(f"{title}: and {count - printed:,} more", style="yellow")


def _summary(report: IngestReport) -> Iterator[tuple[str, str]]:
    yield "documents", f"{report.documents:,}"
    yield "sequences", f"{report.sequences:,}"
    yield "shards", f"{report.shards:,}"
    yield "tokens", f"{report.tokens:,}; the longest sequence has {report.longest_sequence:,}"
    if report.trained_tokens is not None:
        yield (
            "trained on",
            f"{report.trained_tokens:,} tokens count, {share(report.trained_tokens, report.tokens)} of all",
        )
    if report.dropped_sequences:
        yield (
            "dropped",
            f"{report.dropped_sequences:,} sequences too short, or with nothing that was trained on",
        )
    yield "bad rows", f"{report.bad_rows:,}"
    if report.bad_cells:
        yield "bad metadata", f"{report.bad_cells:,} values lost; their rows are kept"
    if report.unreadable_files:
        yield "unreadable files", f"{len(report.unreadable_files):,}"
    if report.skipped_files:
        yield "skipped files", f"{len(report.skipped_files):,}"
    by_size = sorted(report.sources.items(), key=lambda item: (-item[1].tokens, item[0]))
    for name, counts in by_size[:_SOURCES_SHOWN]:
        yield f"  {name}", f"{counts.documents:,} documents, {counts.tokens:,} tokens"
    if len(by_size) > _SOURCES_SHOWN:
        yield "  ...", f"and {len(by_size) - _SOURCES_SHOWN:,} more sources"
    yield "digest", report.digest
    yield "path", str(report.path)
