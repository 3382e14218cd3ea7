"""``whence corpus``: make a training corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whence.cli.console import stdout
from whence.cli.inputs import read_text
from whence.cli.progress import corpus_progress
from whence.cli.render import findings
from whence.cli.render.corpus import print_report
from whence.cli.render.preview import preview as render_preview

_MAX_TOKENS = 512


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
            "context; each token is still trained on once.",
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
    id_field: Annotated[str, typer.Option(help="The column with the document's id. Made where absent.")] = "id",
    source_field: Annotated[str, typer.Option(help="The column with the source of the text.")] = "source",
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
            help="The turns that are trained on: all of the assistant's, the last, or those whose message has 1 or "
            "true as --mask-field, or no such field.",
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
        typer.Option(help="The current day for chat templates that use it.", show_default="2024-07-26"),
    ] = None,
    show_preview: Annotated[
        bool,
        typer.Option("--preview", help="Show three rows with the trained text in colour, and write nothing."),
    ] = False,
    id_scope: Annotated[
        str,
        typer.Option(
            help="The scope of ids: unique in the whole 'corpus', or in each 'source', whose name then precedes them."
        ),
    ] = "corpus",
    max_bad_rows: Annotated[
        str,
        typer.Option(help="Most rows that may be left out: a number, or a share as in 5%. A single row always may."),
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
    """Make a training corpus, in which attributions search.

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
        id_scope=id_scope,  # type: ignore[arg-type]  # refuses other values
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
        train_on=train_on,  # type: ignore[arg-type]  # refuses other values
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
    with corpus_progress() as show:
        report = ingest(config, show)
    print_report(report)
    made = Corpus.open(report.path, verify=False).facts
    findings.show_all(finding for finding in preflight(model=facts, corpus=made) if finding.error is not None)
