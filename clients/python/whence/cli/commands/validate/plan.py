"""``whence validate plan``: which models to train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whence.cli import console
from whence.cli.commands.validate import options
from whence.cli.commands.validate import removals as removal
from whence.cli.render.validation import plan_summary


def plan(
    corpus: options.CorpusFolder,
    queries: options.Queries,
    out: Annotated[Path, typer.Option(help="Folder to write the plan to: the bank of this validation.")],
    subsets: options.Subsets = 40,
    alpha: options.Alpha = 0.5,
    repeats: options.Repeats = 12,
    full_seeds: options.FullSeeds = 2,
    without: options.Without = None,
    without_seeds: options.WithoutSeeds = 1,
    seed: options.Seed = 0,
    removals: removal.Removals = None,
    removal_queries: removal.RemovalQueries = 10,
    removal_method: removal.RemovalMethods = None,
    removal_seeds: removal.RemovalSeeds = 1,
    rankings: Annotated[
        Path | None,
        typer.Option(
            help='With --removals: JSONL of rankings, {"query": ID, "method": NAME, "documents": [ID, …]} a line, best '
            "first; answers of client.attribute as JSON are taken too."
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Or the model to rank with; needs its --factors.")] = "",
    factors: Annotated[Path | None, typer.Option(help="Its factors, which `whence fit` wrote.")] = None,
    damping_factor: Annotated[float, typer.Option(min=1e-12, max=1e12, help="The damping to rank with.")] = 0.1,
    device: options.Device = "auto",
) -> None:
    """Plan which models to train: documents/run-NNNN.txt lists the ids of each run's documents.

    Train them as the model itself was trained, each on its documents alone, and measure each with `whence validate
    measure`; or let `whence validate run` do both. The same plan again changes nothing.

    With --removals, models are also trained without the first documents that a method finds for a query, and without as
    many random ones: what does the query lose? They can be added to a plan whose runs are trained already.

    Example: whence validate plan --corpus corpus/ --queries queries.jsonl --out bank/

    Example: whence validate plan --corpus corpus/ --queries queries.jsonl --out bank/ --removals 1 --removals 10
    --model my-model/ --factors factors/
    """
    from whence_backends.corpus import Corpus
    from whence_backends.validation.bank import Bank
    from whence_backends.validation.plan import PlanConfig, plan_for_corpus
    from whence_backends.validation.queries import json_lines
    from whence_backends.validation.removals.rankings import read_rankings
    from whence_backends.validation.scoring import ScoringConfig

    if removals and (rankings is None) == (not model or factors is None):
        raise typer.BadParameter("--removals needs what to remove: --rankings, or --model with its --factors")
    content = json_lines(queries)
    config = PlanConfig(
        subsets=subsets,
        alpha=alpha,
        repeats=min(repeats, subsets),
        full_seeds=full_seeds,
        without=tuple(without or ()),
        without_seeds=without_seeds,
        seed=seed,
    )
    bank = Bank.create(out, plan_for_corpus(config, Corpus.open(corpus), content), content)
    wanted = removal.configuration(removals, removal_queries, removal_seeds, seed)
    if wanted is not None and rankings is not None:
        bank = removal.extend(bank, wanted, read_rankings(rankings))
    elif wanted is not None and factors is not None:
        scoring = ScoringConfig(
            model=model, factors=factors, corpus=corpus, work=out, damping_factor=damping_factor, device=device
        )
        bank = removal.extend(bank, wanted, removal.scored(bank, wanted, scoring, removal_method))
    console.stdout().print(plan_summary(bank.plan, len(bank.missing()), out))
