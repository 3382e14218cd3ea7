"""``whence harness``: the answers of evaluation harnesses."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, cast

import typer

from whence.bulk import RunOptions
from whence.cli import console, documents, inputs, options, progress
from whence.cli.connection import Connection, connecting
from whence.cli.options import SearchChoice, query_option
from whence.cli.render.date_lm import date_lm_report
from whence.cli.render.lm_eval import lm_eval_report
from whence.harness.date_lm import evaluate
from whence.harness.lm_eval import attribute
from whence.options import AttributionOptions, BatchOptions, Search

_TABLE: Final = "Table"

harness = typer.Typer(
    help="Where did the answers of an evaluation come from? Reads what a harness has logged.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class WhichChoice(StrEnum):
    """The values of ``--only``: those of :data:`whence.harness.lm_eval.Which`."""

    all = "all"
    right = "right"
    wrong = "wrong"


class TaskChoice(StrEnum):
    """The values of ``--task``: the applications of DATE-LM."""

    counterfact = "counterfact"
    ftrace = "ftrace"
    toxicity = "toxicity"
    bias = "bias"


class FormChoice(StrEnum):
    """The values of ``--as``."""

    text = "text"
    chat = "chat"


@harness.callback()
def _harness() -> None:
    """Keep the name of the harness a command of its own."""


@harness.command("lm-eval")
@connecting
def lm_eval(
    samples: Annotated[
        Path,
        typer.Option(help="The --output_path of an lm_eval run with --log_samples, or one of its samples_*.jsonl."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Write the hits to this table, .parquet, .csv or .jsonl. An interrupted run goes on where it stopped.",
            rich_help_panel=_TABLE,
        ),
    ],
    task: Annotated[
        list[str] | None,
        typer.Option(help="Only this task, or those of a pattern such as 'mmlu_*'. May be repeated."),
    ] = None,
    only: Annotated[WhichChoice, typer.Option(help="Which of the model's answers to attribute.")] = WhichChoice.all,
    metric: Annotated[
        str,
        typer.Option(
            help="The metric of 0 and 1 that says right or wrong, in the tasks that have it.",
            show_default="acc, exact_match, or the first of 0 and 1",
        ),
    ] = "",
    filter: Annotated[  # noqa: A002 - lm_eval's word
        str,
        typer.Option(help="The filter whose metrics count, in the tasks that have it.", show_default="the first"),
    ] = "",
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first line that is no sample, or query that is refused.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another table at --out.", rich_help_panel=_TABLE)
    ] = False,
    top_k: Annotated[int, query_option(AttributionOptions, "top_k", "--top-k", "-k")] = 10,
    damping_factor: options.DampingFactor = None,
    search: Annotated[SearchChoice, query_option(AttributionOptions, "search")] = SearchChoice.auto,
    source: options.Sources = None,
    where: options.Where = None,
    document: options.Document = None,
    layer: options.Layers = None,
    layers: Annotated[bool, query_option(AttributionOptions, "include_layers", "--layers/--no-layers")] = True,
    query_rank: Annotated[int | None, query_option(BatchOptions, "query_rank")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Queries of a batch.", show_default="as many as the model takes")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Batches that are asked at a time.")] = 2,
    model: options.ModelName = "",
    connection: Connection = Connection(),
    as_json: options.Json = False,
) -> None:
    """Attribute the answers that a model gave in lm-evaluation-harness.

    whence harness lm-eval --samples results/ --only wrong --out hits.parquet
    """
    with connection.client() as client, progress.bulk_progress() as show:
        report = attribute(
            samples,
            client,
            out,
            tasks=task or (),
            answers=only.value,
            metric=metric,
            filter=filter,
            run=RunOptions(
                strict=strict,
                overwrite=overwrite,
                batch_size=batch_size,
                concurrency=concurrency,
                model=model,
                progress=show,
            ),
            top_k=top_k,
            damping_factor=damping_factor,
            search=cast("Search", search.name),
            only=inputs.only(source, where, document),
            layers=layer or (),
            include_layers=layers,
            query_rank=query_rank,
        )
    if as_json:
        console.print_json(documents.lm_eval(report))
    else:
        console.stdout().print(lm_eval_report(report))


@harness.command("date-lm")
@connecting
def date_lm(
    data: Annotated[Path, typer.Option(help="A folder with the train and ref files of one subset.")],
    task: Annotated[TaskChoice, typer.Option(help="What counts as relevant, and the metrics.")],
    out: Annotated[
        Path,
        typer.Option(
            help="Write metrics.json and scores.json to this folder. An interrupted run goes on where it stopped."
        ),
    ],
    form: Annotated[
        FormChoice, typer.Option("--as", help="Rows as prompt and completion, or as user and assistant.")
    ] = FormChoice.text,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is at --out.")] = False,
    damping_factor: options.DampingFactor = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Queries of a batch.", show_default="as many as the model takes")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Batches that are asked at a time.")] = 2,
    model: options.ModelName = "",
    connection: Connection = Connection(),
    as_json: options.Json = False,
) -> None:
    """Score a data set of DATE-LM by influence, with BM25 beside. Serve the train rows as the corpus.

    whence harness date-lm --data Counterfact/Pythia-1b --task counterfact --out results
    """
    with connection.client() as client, progress.bulk_progress("scores") as show:
        run = RunOptions(
            overwrite=overwrite, batch_size=batch_size, concurrency=concurrency, model=model, progress=show
        )
        report = evaluate(data, client, out, task.value, run, form=form.value, damping_factor=damping_factor)
    if as_json:
        console.print_json(report)
    else:
        console.stdout().print(date_lm_report(report))
