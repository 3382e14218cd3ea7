"""``whence validate run``: train and measure the models of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whence.cli import console
from whence.cli.commands.validate import options
from whence.cli.commands.validate import removals as removal
from whence.cli.render.validation import trained_line
from whence.cli.stages import training_progress

if TYPE_CHECKING:
    from whence_backends.corpus import Corpus
    from whence_backends.validation.plan import PlanConfig
    from whence_backends.validation.proxy_bank import ProxyBank
    from whence_backends.validation.training import Trainer


def run(
    bank: options.BankFolder,
    corpus: options.CorpusFolder = Path("corpus"),
    tokenizer: options.TokenizerModel = "",
    train_command: Annotated[
        str | None,
        typer.Option(
            help="Your trainer, as a shell command: {documents} is a file of document ids, {seed} a number, "
            "{checkpoint} the folder to write the model to; {run} and {name} may be used too."
        ),
    ] = None,
    trainer: Annotated[
        str | None,
        typer.Option(help="Or a Python function, module:function, which is called with a TrainingRun."),
    ] = None,
    proxy: Annotated[
        bool,
        typer.Option(
            "--proxy",
            help="Or train a small model of the corpus, from planning to measuring: it validates the method and the "
            "corpus, not your model. Takes --queries.",
        ),
    ] = False,
    queries: Annotated[
        Path | None,
        typer.Option(help="With --proxy: the outputs, in a file as `whence validate plan` takes."),
    ] = None,
    max_documents: Annotated[
        int, typer.Option(min=8, help="With --proxy: at most so many documents, drawn at random.")
    ] = 600,
    subsets: Annotated[int, typer.Option(min=2, help="With --proxy: random parts to train on.")] = 24,
    repeats: Annotated[int, typer.Option(min=0, help="With --proxy: parts that are trained twice.")] = 8,
    removals: removal.Removals = None,
    removal_queries: removal.RemovalQueries = 10,
    removal_method: removal.RemovalMethods = None,
    removal_seeds: removal.RemovalSeeds = 1,
    parallel: Annotated[int, typer.Option(min=1, help="Models trained at the same time.")] = 1,
    first: Annotated[int, typer.Option(min=0, help="The first run to train, so that machines can share a plan.")] = 0,
    last: Annotated[int | None, typer.Option(min=0, help="The last run to train.", show_default="the plan's")] = None,
    keep_checkpoints: Annotated[
        bool, typer.Option("--keep-checkpoints", help="Keep every model, not only that of run 0.")
    ] = False,
    precision: options.Precision = "float32",
    device: options.Device = "auto",
) -> None:
    """Train and measure the models of a plan. Killed, the same command goes on; what is measured is kept.

    Example: whence validate run --bank bank/ --corpus corpus/ --tokenizer my-model/ --parallel 2 --train-command
    'python train.py --documents {documents} --seed {seed} --out {checkpoint}'

    Example: whence validate run --proxy --bank bank/ --corpus corpus/ --queries queries.jsonl --parallel 2

    With --proxy and --removals, models are also trained without the first documents that a method finds for a query.
    """
    from whence_backends.corpus import Corpus
    from whence_backends.validation.bank import Bank
    from whence_backends.validation.likelihoods import Measurement
    from whence_backends.validation.plan import PlanConfig
    from whence_backends.validation.training import train_and_measure

    chosen: Trainer
    if proxy:
        plan = PlanConfig(subsets=subsets, repeats=min(repeats, subsets))
        prepared = _proxy(Corpus.open(corpus), queries, bank, max_documents, plan)
        opened, chosen, measurement = prepared.bank, prepared.trainer, prepared.measurement
        wanted = removal.configuration(removals, removal_queries, removal_seeds, plan.seed)
        if wanted is not None and not opened.plan.removals:
            opened = removal.of_proxy(prepared, wanted, removal_method)
    elif removals:
        raise typer.BadParameter("--removals is planned by whence validate plan, but for --proxy")
    else:
        chosen = _trainer(train_command, trainer)
        opened = Bank.open(bank)
        opened.require_corpus(Corpus.open(corpus, verify=False).digest)
        measurement = Measurement(
            queries=opened.queries_file, corpus=corpus, tokenizer=tokenizer, device=device, precision=precision
        )
    until = len(opened.plan.runs) if last is None else last + 1
    with training_progress() as show:
        train_and_measure(
            opened,
            chosen,
            measurement,
            runs=opened.plan.runs[first:until],
            parallel=parallel,
            keep_checkpoints=keep_checkpoints,
            progress=show,
        )
    console.stdout().print(trained_line(opened.plan, len(opened.missing()), bank))


def _proxy(corpus: Corpus, queries: Path | None, bank: Path, max_documents: int, plan: PlanConfig) -> ProxyBank:
    from whence_backends.validation.proxy_bank import prepare_proxy_bank, write_documents

    if queries is None:
        raise typer.BadParameter("--proxy plans by itself: give the outputs to ask about with --queries")
    documents = write_documents(corpus, bank, most=max_documents, seed=0)
    return prepare_proxy_bank(documents, queries, bank, plan)


def _trainer(command: str | None, function: str | None) -> Trainer:
    from whence_backends.validation.training import CommandTrainer, EntryPointTrainer

    if command is not None and function is None:
        return CommandTrainer(command=command)
    if function is not None and command is None:
        chosen = EntryPointTrainer(entry_point=function)
        chosen.function()
        return chosen
    raise typer.BadParameter("give one of --train-command, --trainer and --proxy")
