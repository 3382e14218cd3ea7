"""``whence study distribution``: the heavy tail of influences."""

from __future__ import annotations

from typing import Annotated

import typer

from whence.cli import console
from whence.cli import options as shared
from whence.cli.commands.study import options
from whence.cli.commands.study.options import SignChoice


def distribution(
    influences: options.Influences,
    out: options.Out,
    sign: options.SignOption = SignChoice.positive,
    top_fraction: Annotated[
        float,
        typer.Option(
            help="The tail is this share of all influences, but at least 50 and at most 500 of them: 0.0001 is the "
            "paper's, which had five million."
        ),
    ] = 1e-4,
    simulations: Annotated[int, typer.Option(min=1, help="Samples that are simulated for the KS p-value.")] = 1000,
    seed: options.Seed = 0,
    as_json: shared.Json = False,
) -> None:
    """Fit a power law to each query's largest influences, and hold it against noise.

    The exponent is that of the density, p(x) ∝ x^-α. A KS p-value below 0.1 rejects the power law.

    Other families are fitted to the same tail; the table names those that are surely likelier.

    Noise has a heavy tail, too. An exponent "differs" where it is outside of what noise alone gives.

    The negative influences (--sign negative) are a control: they are mostly noise.

    whence scores --queries outputs.jsonl --sequences all.jsonl --out scores.parquet

    whence study distribution --influences scores.parquet --out tails
    """
    from whence import analysis
    from whence.analysis.outputs import write_distributions
    from whence.cli.render.study import distributions_report

    queries = analysis.read_influences(influences)
    studies = [
        analysis.distribution(
            query.influences,
            query_id=query.query_id,
            sign=1 if sign is SignChoice.positive else -1,
            top_fraction=top_fraction,
            simulations=simulations,
            seed=seed,
        )
        for query in queries
    ]
    written = write_distributions(studies, out)
    if as_json:
        console.print_json({"queries": [study.to_dict() for study in studies]})
    else:
        console.stdout().print(distributions_report(studies, queries, written))
