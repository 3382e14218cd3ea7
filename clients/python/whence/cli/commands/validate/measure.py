"""``whence validate measure``: what one trained model says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whence.cli import console
from whence.cli.commands.validate import options
from whence.cli.render.validation import measured_line


def measure(
    bank: options.BankFolder,
    run: Annotated[int, typer.Option(min=0, help="The number of the run in the plan.")],
    checkpoint: Annotated[
        str | None, typer.Option(help="The model of that run: a folder in Hugging Face layout. One forward pass.")
    ] = None,
    log_likelihoods: Annotated[
        Path | None,
        typer.Option(
            help='Or a JSONL of log-likelihoods in nats, made elsewhere: {"query": ID, "log_likelihood": X} for each '
            'query and {"sequence": ID, "log_likelihood": X} for each training sequence.'
        ),
    ] = None,
    corpus: options.CorpusFolder = Path("corpus"),
    tokenizer: Annotated[
        str, typer.Option(help="A model whose tokenizer the corpus was made with.", show_default="the checkpoint's")
    ] = "",
    precision: options.Precision = "float32",
    device: options.Device = "auto",
) -> None:
    """Measure the log-likelihood of every query and training sequence under one trained model, and keep it.

    Example: whence validate measure --bank bank/ --run 7 --checkpoint run-07/ --corpus corpus/
    """
    if (checkpoint is None) == (log_likelihoods is None):
        raise typer.BadParameter("give one of --checkpoint and --log-likelihoods")
    from whence_backends.corpus import Corpus
    from whence_backends.validation.bank import Bank
    from whence_backends.validation.likelihoods import Measurement, read_log_likelihoods

    opened = Bank.open(bank)
    planned = opened.run(run)
    opened.require_corpus(Corpus.open(corpus, verify=False).digest)
    if log_likelihoods is not None:
        measured = read_log_likelihoods(log_likelihoods, opened.queries_file, corpus)
    else:
        measurement = Measurement(
            queries=opened.queries_file,
            corpus=corpus,
            tokenizer=tokenizer or str(checkpoint),
            device=device,
            precision=precision,
        )
        measured = measurement.measure(str(checkpoint))
    opened.add(planned, measured)
    console.stdout().print(measured_line(planned, len(opened.missing())))
