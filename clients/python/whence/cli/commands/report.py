"""``whence report``: results as one HTML file for a colleague."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from whence.cli import console
from whence.report import FULL, Report, html_report, read, with_queries


def report(
    result: Annotated[
        list[Path],
        typer.Argument(
            help="What `whence attribute`, explain, score, groups or outliers printed with --json; the table of a run "
            "(.parquet, .csv or .jsonl); or a folder of these.",
            metavar="RESULT…",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Write the report here; its name ends in .html. It is replaced.")],
    title: Annotated[str, typer.Option(help="The heading of the report.", show_default="what was asked")] = "",
    queries: Annotated[
        Path | None,
        typer.Option(help="The file of queries that a run's table was made of: the table itself has no prompts."),
    ] = None,
    full: Annotated[int, typer.Option(min=0, help="Queries of a run to show in full, the first ones.")] = FULL,
) -> None:
    """Make one HTML file of results, for somebody who has neither Whence nor the model.

    The file needs nothing else: no script, no picture, no other host. A run is summed up over sources, tasks and
    sequences.

    whence attribute --prompt "The capital of Durrow is" --completion " Brelary" --json > answer.json

    whence report answer.json --out report.html
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise typer.BadParameter(f"--out is {out}: a report's name ends in .html", param_hint="--out")
    inputs = read(result) if queries is None else with_queries(read(result), queries)
    made = html_report(inputs.results, title=title, full=full)
    partial = out.with_name(f".{out.name}.writing")
    partial.write_bytes(made.html.encode("utf-8", "replace"))
    partial.replace(out)
    for path in inputs.passed_over:
        console.stderr().print(Text(f"passed over, since it holds no result: {path}", style="yellow"))
    console.stdout().print(Text(_done(out, made)))


def _done(out: Path, made: Report) -> str:
    left_out = f"; {len(made.left_out):,} left out for the file's size" if made.left_out else ""
    sections = f"{made.sections:,} section{'s' if made.sections != 1 else ''}"
    return f"{sections} in {out}, {out.stat().st_size / 1000:,.0f} kB{left_out}"
