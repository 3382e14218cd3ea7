"""``whence corpus``: make the training corpus that attributions are searched in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from whence.cli.console import stderr, stdout
from whence.cli.options import read_text
from whence.cli.render import findings
from whence.cli.render.preview import preview as render_preview
from whence.cli.render.text import share
from whence.terminal import printable

if TYPE_CHECKING:  # numpy, pyarrow: only imported where a corpus is made
    from collections.abc import Callable

    from whence_backends.corpus import IngestProgress, IngestReport

_MAX_TOKENS = 512
_SOURCES_SHOWN = 10
_LEFT_OUT_SHOWN = 20


def corpus(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help="Files (.jsonl, .json, .csv, .tsv, .txt, .md, each also .gz, .zst, .bz2 or .xz; .parquet, .arrow), "
            "folders of them, or a data set that `datasets` has saved to disk.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="The model whose tokenizer cuts the text: a folder, a .gguf file, 'smollm2' or a hub name.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write the corpus to.")],
    max_tokens: Annotated[
        int | None,
        typer.Option(
            help="Longest training sequence, as the model was trained.",
            show_default=f"{_MAX_TOKENS}, or what the model takes",
        ),
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(
            help="Tokens from one sequence's start to the next one's. Below --max-tokens, sequences share "
            "context; each token still counts once.",
            show_default="--max-tokens",
        ),
    ] = None,
    packed: Annotated[
        bool,
        typer.Option(
            "--packed/--by-document",
            help="Lay documents end to end and cut to --max-tokens, as in pretraining; or cut each alone.",
        ),
    ] = False,
    bos: Annotated[
        bool | None,
        typer.Option(
            "--bos/--no-bos",
            help="Begin each document with the bos token.",
            show_default="as the model's tokenizer does",
        ),
    ] = None,
    eos: Annotated[
        bool | None,
        typer.Option("--eos/--no-eos", help="End each document with the eos token.", show_default="only if packed"),
    ] = None,
    min_tokens: Annotated[int, typer.Option(help="Shorter sequences are left out.")] = 2,
    text_field: Annotated[str, typer.Option(help="The column with the text.")] = "text",
    id_field: Annotated[str, typer.Option(help="The column with the document's id. One is made if absent.")] = "id",
    source_field: Annotated[str, typer.Option(help="The column that says where the text comes from.")] = "source",
    prompt_field: Annotated[
        str | None, typer.Option(help="The prompt's column: context that the model was not trained on.")
    ] = None,
    completion_field: Annotated[
        str | None, typer.Option(help="The completion's column; goes with --prompt-field.")
    ] = None,
    messages_field: Annotated[
        str | None,
        typer.Option(help="The column with a conversation: messages with role and content, or with from and value."),
    ] = None,
    train_on: Annotated[
        str,
        typer.Option(
            help="The turns that count: every one of the assistant, the last, or those whose message has 1 or true "
            "as --mask-field, or nothing.",
            metavar="all-assistant|last|mask-field",
        ),
    ] = "all-assistant",
    mask_field: Annotated[
        str, typer.Option(help="The message's field that says whether it was trained on, for --train-on mask-field.")
    ] = "weight",
    chat_template: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="A file with a chat template (Jinja).", show_default="the tokenizer's own"
        ),
    ] = None,
    chat_date: Annotated[
        str | None,
        typer.Option(help="The day that chat templates are told, where they ask.", show_default="2024-07-26"),
    ] = None,
    show_preview: Annotated[
        bool,
        typer.Option("--preview", help="Show three rows, what counts as trained on in colour, and write nothing."),
    ] = False,
    id_scope: Annotated[
        str,
        typer.Option(
            help="Where ids are unique: in the whole 'corpus', or only in each 'source', whose name then precedes them."
        ),
    ] = "corpus",
    max_bad_rows: Annotated[
        str,
        typer.Option(help="Most rows that may be left out: a number, or a share as in 5%. One may be in any case."),
    ] = "49%",
    max_row_bytes: Annotated[
        int, typer.Option(help="A row of more bytes is left out. Plain text files may have any size.")
    ] = 64 << 20,
    shard_tokens: Annotated[
        int, typer.Option(help="Most tokens in a shard. A worker serves one or more shards.")
    ] = 50_000_000,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad row instead of counting it.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another corpus at --out.")] = False,
) -> None:
    """Make the training corpus that attributions are searched in.

    Reads the data the model was trained on, cuts it into training sequences with the model's own tokenizer,
    and writes a folder that `whence fit` and `whence worker` take. It may be a sample of the training data.

    Running the same command again checks the corpus, or finishes an interrupted one with the same bytes.
    Columns besides id, source and text are kept and come back with every answer.

    Example:

        whence corpus data/*.jsonl --model smollm2 --out corpus

        whence corpus sft.parquet -m ./model -o corpus --prompt-field question --completion-field answer

        whence corpus chats.jsonl -m ./model -o corpus --messages-field messages --preview
    """
    from whence_backends.corpus import (
        BadRowLimit,
        ChatPolicy,
        ChunkPolicy,
        Columns,
        Corpus,
        IngestConfig,
        ingest,
        preview,
    )
    from whence_backends.models import Tokenizer, locate_model
    from whence_backends.models.facts import model_facts
    from whence_backends.preflight import cutting, preflight

    columns = Columns(
        text_field=text_field,
        id_field=id_field,
        source_field=source_field,
        prompt_field=prompt_field,
        completion_field=completion_field,
        messages_field=messages_field,
        id_scope=id_scope,  # type: ignore[arg-type]  # refuses any other, naming the two
    )
    location = locate_model(model, weights=False)
    tokenizer = Tokenizer.load(location)
    facts = model_facts(location, tokenizer)
    longest = max_tokens or min(_MAX_TOKENS, facts.max_tokens or _MAX_TOKENS)
    findings.show_all(cutting(facts, longest))
    policy = ChunkPolicy(
        max_tokens=longest,
        stride=stride,
        boundary="packed" if packed else "document",
        bos=tokenizer.adds_bos if bos is None else bos,
        eos=packed if eos is None else eos,
        min_tokens=min_tokens,
    )
    chat = ChatPolicy(
        train_on=train_on,  # type: ignore[arg-type]  # refuses any other, naming the three
        mask_field=mask_field,
        template=None if chat_template is None else read_text(chat_template, "chat_template"),
        **({} if chat_date is None else {"date": chat_date}),
    )
    config = IngestConfig(
        inputs=inputs,
        out=out,
        tokenizer=tokenizer,
        policy=policy,
        columns=columns,
        chat=chat,
        shard_tokens=shard_tokens,
        max_row_bytes=max_row_bytes,
        max_bad_rows=BadRowLimit.parse(max_bad_rows),
        strict=strict,
        overwrite=overwrite,
    )
    if show_preview:
        console = stdout()
        console.print(render_preview(preview(config), plain=console.color_system is None))
        return
    with _progress_bar() as show:
        report = ingest(config, show)
    _print_summary(report)
    made = Corpus.open(report.path, verify=False).facts
    findings.show_all(finding for finding in preflight(model=facts, corpus=made) if finding.error is not None)


@contextmanager
def _progress_bar() -> Iterator[Callable[[IngestProgress], None]]:
    """Show a bar on stderr while sequences are made; yields what to call with each progress."""
    bar = Progress(
        TextColumn("corpus", style="bold", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
        console=stderr(),
    )
    with bar:
        task = bar.add_task("reading the input", total=None)

        def show(progress: IngestProgress) -> None:
            bar.update(task, total=progress.bytes_total, completed=progress.bytes_read, description=_line(progress))

        yield show


def _line(progress: IngestProgress) -> str:
    bad = f", {progress.bad_rows:,} bad rows" if progress.bad_rows else ""
    read = f"{decimal(progress.bytes_read)} of {decimal(progress.bytes_total)}"
    return f"{progress.sequences:,} sequences, {progress.tokens:,} tokens{bad} ({read})"


def _print_summary(report: IngestReport) -> None:
    console = stdout()
    table = Table(show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _summary(report):
        table.add_row(printable(name), printable(value))
    console.print("The same corpus was there already; it is whole." if report.already_there else "Corpus made.")
    console.print(table)
    _print_list("not read", report.unreadable_files, len(report.unreadable_files))
    _print_list("left out", report.first_bad_rows, report.bad_rows)
    _print_list("metadata lost", report.first_bad_cells, report.bad_cells)
    _print_list("skipped", report.skipped_files, len(report.skipped_files))
    for notice in report.notices:
        console.print(printable(str(notice)), style="yellow")
        _print_list("  such as", [printable(str(row)) for row in notice.first], notice.rows)


def _print_list(title: str, shown: Sequence[object], count: int) -> None:
    """Print what is not in the corpus, each with why; of many the first."""
    console = stdout()
    for item in shown[:_LEFT_OUT_SHOWN]:
        console.print(printable(f"{title}: {item}"), style="yellow")
    if count > (printed := min(len(shown), _LEFT_OUT_SHOWN)):
        console.print(f"{title}: and {count - printed:,} more", style="yellow")


def _summary(report: IngestReport) -> Iterator[tuple[str, str]]:
    yield "documents", f"{report.documents:,}"
    yield "sequences", f"{report.sequences:,}"
    yield "shards", f"{report.shards:,}"
    yield "tokens", f"{report.tokens:,}; the longest sequence has {report.longest_sequence:,}"
    if report.trained_tokens is not None:
        yield (
            "trained on",
            f"{report.trained_tokens:,} tokens count, {share(report.trained_tokens, report.tokens)} of all",
        )
    if report.dropped_sequences:
        yield (
            "dropped",
            f"{report.dropped_sequences:,} sequences too short, or with nothing that was trained on",
        )
    yield "bad rows", f"{report.bad_rows:,}"
    if report.bad_cells:
        yield "bad metadata", f"{report.bad_cells:,} values lost; their rows are kept"
    if report.unreadable_files:
        yield "unreadable files", f"{len(report.unreadable_files):,}"
    if report.skipped_files:
        yield "skipped files", f"{len(report.skipped_files):,}"
    by_size = sorted(report.sources.items(), key=lambda item: (-item[1].tokens, item[0]))
    for name, counts in by_size[:_SOURCES_SHOWN]:
        yield f"  {name}", f"{counts.documents:,} documents, {counts.tokens:,} tokens"
    if len(by_size) > _SOURCES_SHOWN:
        yield "  ...", f"and {len(by_size) - _SOURCES_SHOWN:,} more sources"
    yield "digest", report.digest
    yield "path", str(report.path)
