"""``whence validate check``: what can be known of served influences without training anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whence.cli import console
from whence.cli.commands.validate import options
from whence.cli.options import Json
from whence.cli.render import findings
from whence.cli.render.served_checks import checks_table
from whence.cli.stages import check_progress


def check(
    model: Annotated[str, typer.Option(help="Model folder, GGUF file, 'smollm2', or hub name.")],
    factors: Annotated[Path, typer.Option(help="The factors that `whence fit` wrote.")],
    corpus: options.CorpusFolder,
    queries: options.Queries,
    out: Annotated[
        Path, typer.Option(help="Folder for checks.json and what it is made of. Killed? Run the same command again.")
    ],
    canaries: Annotated[
        Path | None,
        typer.Option(
            help='Queries whose sources are known, in a file as --queries, with documents beside them: {"prompt": …, '
            '"completion": …, "documents": ["id", …]}. Their documents must be on top.'
        ),
    ] = None,
    damping_factor: Annotated[
        float, typer.Option(min=1e-12, max=1e12, help="The damping of the influences that are checked.")
    ] = 0.1,
    fit_sequences: Annotated[
        int, typer.Option(min=4, help="Random sequences to fit on again, with other labels and by halves.")
    ] = 500,
    scan_sequences: Annotated[
        int,
        typer.Option(
            min=4, help="Random sequences to score for every query, beside those that share most words with one."
        ),
    ] = 2000,
    step_hits: Annotated[int, typer.Option(min=1, help="First hits of each query to take the step of.")] = 3,
    batch_tokens: Annotated[int, typer.Option(min=1, help="Most tokens in a batch, padding included.")] = 4096,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Draws the sample and the labels.")] = 0,
    device: options.Device = "auto",
    as_json: Json = False,
) -> None:
    """Check influences without training anything, in minutes.

    How much of a ranking is noise of labels, data and precision; is an influence the effect of its step; is the model
    at an optimum; what do words alone find. That influences are true takes retraining: whence validate run.

    Example: whence validate check --model model/ --factors factors/ --corpus corpus/ --queries queries.jsonl --out
    checks/
    """
    from whence_backends.validation.checks import CheckConfig, run_checks, to_json
    from whence_backends.validation.checks.questions import Questions

    config = CheckConfig(
        model=model,
        factors=factors,
        corpus=corpus,
        out=out,
        device=device,
        damping_factor=damping_factor,
        fit_sequences=fit_sequences,
        scan_sequences=scan_sequences,
        batch_tokens=batch_tokens,
        step_hits=step_hits,
        seed=seed,
    )
    questions = Questions(config)
    asked, known = questions.queries(queries), questions.canaries(canaries) if canaries is not None else ()
    with check_progress() as show:
        result = run_checks(config, asked, known, show, warn=findings.show)
    if as_json:
        console.print_json(to_json(result))
    else:
        console.stdout().print(checks_table(result))
