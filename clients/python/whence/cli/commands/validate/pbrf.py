"""``whence validate pbrf``: influences against the response function that they approximate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from whence.cli import console
from whence.cli.commands.validate import options
from whence.cli.options import Json
from whence.cli.render.response_agreement import response_agreement
from whence.cli.stages import stage_progress

_STAGES = {"curvature": "preparing the solver", "responses": "minimizing (sequences)"}


def pbrf(
    model: Annotated[str, typer.Option(help="Model folder or hub name.")],
    factors: Annotated[Path, typer.Option(help="The factors that `whence fit` wrote.")],
    corpus: options.CorpusFolder,
    queries: options.Queries,
    points: Annotated[int, typer.Option(help="Random training sequences to pull the model towards: 3 or more.")] = 50,
    copies: Annotated[
        list[float] | None,
        typer.Option(
            help="How hard to pull: the weight of so many copies of the sequence. May be repeated; two sizes show "
            "whether the response is linear. Negative: push.",
            show_default="1 and 0.25",
        ),
    ] = None,
    sequences: Annotated[
        int,
        typer.Option(help="Sequences whose outputs are held, drawn from those of the fit. The time is in proportion."),
    ] = 64,
    damping_factor: Annotated[float, typer.Option(help="The damping of the influences that are tested.")] = 0.1,
    columns: Annotated[
        int,
        typer.Option(
            help="Size of the solver's preconditioner: that many vectors as long as the tracked weights are kept. It "
            "changes the time, not the figures."
        ),
    ] = 200,
    tolerance: Annotated[
        float, typer.Option(help="A minimum is reached where the gradient is below this share of its start.")
    ] = 1e-4,
    batch_tokens: Annotated[int, typer.Option(help="Most tokens in a batch, padding included.")] = 4096,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Draws the sequences and the points.")] = 0,
    precision: Annotated[str, typer.Option(help="float64 or float32: the minima need many digits.")] = "float64",
    device: options.Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Hold influences against the proximal Bregman response function, which is what they approximate.

    The response is what a model answers whose weights are pulled a little towards one training sequence, while its
    outputs on others, and its weights, are held (Bae et al. 2022; Grosse et al. 2023, App. C). It is computed by
    minimization, without factors: where influences agree with it, EK-FAC is a good approximation of the curvature.

    It is not what retraining gives, and good agreement does not say that influences are true: whence validate run
    measures that. Only the layers that the factors track are free. Each minimum takes some tens of products with the
    curvature, each as long as five forward passes over --sequences: minutes for a small model, hours for a large one.
    What did not converge has no figure.

    Example: whence validate pbrf --model model/ --factors factors/ --corpus corpus/ --queries queries.jsonl --points 20
    """
    from whence_backends.validation.pbrf.config import PbrfConfig
    from whence_backends.validation.pbrf.job import run_pbrf
    from whence_backends.validation.pbrf.newton import Effort

    config = PbrfConfig(
        model=model,
        factors=factors,
        corpus=corpus,
        queries=queries,
        points=points,
        copies=tuple(copies or (1.0, 0.25)),
        sequences=sequences,
        damping_factor=damping_factor,
        columns=columns,
        precision=precision,
        device=device,
        batch_tokens=batch_tokens,
        seed=seed,
        effort=Effort(tolerance=tolerance),
    )
    with stage_progress() as show:
        result = run_pbrf(config, lambda at: show(_STAGES[at.part], at.done / max(1, at.total)))
    document = result.as_json()
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if as_json:
        console.print_json(document)
    else:
        console.stdout().print(response_agreement(document))
