"""The options that studies share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Influences = Annotated[
    list[Path],
    typer.Option(
        help="The influences of all sequences: .parquet, .jsonl or .csv with sequence_id and influence, query_id for "
        "several queries, and signal if known; or the matrix that `whence scores --out scores.csv` wrote. Give the "
        "option again for more files."
    ),
]
Out = Annotated[Path, typer.Option(help="Write the figure, the table and the JSON into this folder; replaces them.")]
Seed = Annotated[int, typer.Option(min=0, help="The seed of what is simulated: the same seed, the same figures.")]


class SignChoice(StrEnum):
    """The influences to study."""

    positive = "positive"
    negative = "negative"


SignOption = Annotated[SignChoice, typer.Option("--sign", help="Study the positive or the negative influences.")]
