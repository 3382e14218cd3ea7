"""The options that the commands of ``whence validate`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BankFolder = Annotated[Path, typer.Option("--bank", help="The folder of the plan and of what was measured.")]
CorpusFolder = Annotated[Path, typer.Option("--corpus", help="The corpus that `whence corpus` wrote.")]
Queries = Annotated[
    Path,
    typer.Option(
        help="The outputs: .jsonl, .csv or .parquet with prompt and completion, messages, or token_ids and "
        "completion_start; an id names each."
    ),
]
TokenizerModel = Annotated[
    str,
    typer.Option("--tokenizer", help="A model (folder or name) whose tokenizer the corpus was made with."),
]
Subsets = Annotated[int, typer.Option(min=2, help="Random parts to train on; 40 tell methods apart.")]
Alpha = Annotated[float, typer.Option(help="The share of the documents in each part.")]
Repeats = Annotated[
    int,
    typer.Option(min=0, help="Parts that are trained twice, with another seed: what does a seed alone change?"),
]
FullSeeds = Annotated[int, typer.Option(min=1, help="Models of the whole corpus, each with its own seed.")]
Without = Annotated[
    list[str] | None, typer.Option(help="Also train without the documents of this source. May be repeated.")
]
WithoutSeeds = Annotated[int, typer.Option(min=1, help="Models without each such source.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Draws the parts; the first seed of the trainer.")]
Precision = Annotated[str, typer.Option(help="float32, bfloat16 or float64: what checkpoints are measured in.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
