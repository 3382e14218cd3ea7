"""``whence validate report``: what the runs say, and the certificate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from whence.cli import console
from whence.cli.commands.validate import options
from whence.cli.options import Json
from whence.cli.render.validation import certified_line
from whence.cli.render.validation_report import validation_report
from whence.cli.stages import stage_progress


def report(
    bank: options.BankFolder,
    model: Annotated[str, typer.Option(help="The model to report on.", show_default="the bank's proxy")] = "",
    factors: Annotated[Path | None, typer.Option(help="Its factors, which `whence fit` wrote.")] = None,
    corpus: Annotated[Path | None, typer.Option(help="The corpus that the plan was made for.")] = None,
    checks: Annotated[
        Path | None, typer.Option(help="The folder that `whence validate check` wrote, for the certificate.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to.", show_default="report/ in the bank")] = None,
    damping_factor: Annotated[float, typer.Option(min=1e-12, max=1e12, help="The damping that is served.")] = 0.1,
    all_linear: Annotated[
        bool, typer.Option("--all-linear", help="Also fit and score all linear layers, for comparison.")
    ] = False,
    device: options.Device = "auto",
    as_json: Json = False,
) -> None:
    """Hold influences against the measured runs: LDS and its ceiling, effects by rank, significance, sources.

    Writes report.json, report.html with its plots, and the certificate that `whence worker --certificate` serves. For a
    bank of proxies nothing else is needed; for a model of your own give it, its factors and its corpus.

    Example: whence validate report --bank bank/ --model my-model/ --factors factors/ --corpus corpus/
    """
    from whence_backends.validation.bank import Bank
    from whence_backends.validation.reporting import proxy_scoring, report_on
    from whence_backends.validation.scoring import ScoringConfig

    opened = Bank.open(bank)
    if model and (factors is None or corpus is None):
        raise typer.BadParameter("--model needs its --factors and --corpus")
    folder = out or bank / "report"
    with stage_progress() as show:
        if model and factors is not None and corpus is not None:
            scoring = ScoringConfig(model=model, factors=factors, corpus=corpus, work=folder / "work", device=device)
        else:
            scoring = proxy_scoring(opened, show)
        chosen = replace(scoring, damping_factor=damping_factor, all_linear=all_linear)
        reported = report_on(opened, chosen, folder, proxy=not model, checks=checks, progress=show)
    if as_json:
        console.stdout().print_json(data=reported.document)
        return
    console.stdout().print(validation_report(reported.document))
    console.stdout().print(certified_line(reported.certificate, folder))
