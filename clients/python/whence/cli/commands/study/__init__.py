"""``whence study``: the analyses of the literature, of files with the influences of all sequences."""

from __future__ import annotations

import typer

from whence.cli.commands.study.concentration import concentration
from whence.cli.commands.study.distribution import distribution

study = typer.Typer(
    help="Study the influences of all sequences: how heavy is their tail, in how few sequences are they?\n\n"
    "Nothing is asked of a server: `whence scores` writes the influences first. Each study writes a figure (SVG, PNG), "
    "a table (Parquet, CSV) and everything as JSON, and holds what it finds against noise alone.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (distribution, concentration):
    study.command()(command)
