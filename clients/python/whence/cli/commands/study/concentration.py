"""``whence study concentration``: in how few sequences influences are."""

from __future__ import annotations

from whence.cli import console
from whence.cli import options as shared
from whence.cli.commands.study import options
from whence.cli.commands.study.options import SignChoice


def concentration(
    influences: options.Influences,
    out: options.Out,
    sign: options.SignOption = SignChoice.positive,
    seed: options.Seed = 0,
    as_json: shared.Json = False,
) -> None:
    """Say what share of each query's total influence its first sequences have, and what noise alone gives them.

    Of the influences of one sign: the share of the first 0 to 1 %, of 10 %, and how many have half of the total.

    Noise with heavy tails is concentrated, too: only what exceeds it says something.

    whence scores --queries outputs.jsonl --sequences all.jsonl --out scores.parquet

    whence study concentration --influences scores.parquet --out shares
    """
    from whence import analysis
    from whence.analysis.outputs import write_concentrations
    from whence.cli.render.study import concentrations_report

    queries = analysis.read_influences(influences)
    studies = [
        analysis.concentration(
            query.influences,
            query_id=query.query_id,
            sign=1 if sign is SignChoice.positive else -1,
            signals=query.signals,
            seed=seed,
        )
        for query in queries
    ]
    written = write_concentrations(studies, out)
    if as_json:
        console.print_json({"queries": [study.to_dict() for study in studies]})
    else:
        console.stdout().print(concentrations_report(studies, queries, written))
