"""``whence validate run``: train and measure the models of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whence.cli import console
from whence.cli.commands.validate import options
from whence.cli.progress import training_progress
from whence.cli.render.validation import trained_line

if TYPE_CHECKING:
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
    """
    from whence_backends.corpus import Corpus
    from whence_backends.validation.bank import Bank
    from whence_backends.validation.likelihoods import Measurement
    from whence_backends.validation.training import train_and_measure

    opened = Bank.open(bank)
    opened.require_corpus(Corpus.open(corpus, verify=False).digest)
    measurement = Measurement(
        queries=opened.queries_file, corpus=corpus, tokenizer=tokenizer, device=device, precision=precision
    )
    until = len(opened.plan.runs) if last is None else last + 1
    with training_progress() as show:
        train_and_measure(
            opened,
            _trainer(train_command, trainer),
            measurement,
            runs=opened.plan.runs[first:until],
            parallel=parallel,
            keep_checkpoints=keep_checkpoints,
            progress=show,
        )
    console.stdout().print(trained_line(opened.plan, len(opened.missing()), bank))


def _trainer(command: str | None, function: str | None) -> Trainer:
    from whence_backends.validation.training import CommandTrainer, EntryPointTrainer

    if command is not None and function is None:
        return CommandTrainer(command=command)
    if function is not None and command is None:
        chosen = EntryPointTrainer(entry_point=function)
        chosen.function()
        return chosen
    raise typer.BadParameter("give one of --train-command and --trainer")
