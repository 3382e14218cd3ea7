"""``whence validate plan``: which models to train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whence.cli import console
from whence.cli.commands.validate import options
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
) -> None:
    """Plan which models to train: documents/run-NNNN.txt lists the ids of each run's documents.

    Train them as the model itself was trained, each on its documents alone, and measure each with `whence validate
    measure`; or let `whence validate run` do both. The same plan again changes nothing.

    Example: whence validate plan --corpus corpus/ --queries queries.jsonl --out bank/
    """
    from whence_backends.corpus import Corpus
    from whence_backends.validation.bank import Bank
    from whence_backends.validation.plan import PlanConfig, plan_for_corpus
    from whence_backends.validation.queries import read_queries

    read_queries(queries)
    content = queries.read_bytes()
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
    console.stdout().print(plan_summary(bank.plan, len(bank.missing()), out))
