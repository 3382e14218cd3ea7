"""``whence validate``: are the influences true? Held against retraining, and against what they claim of themselves."""

from __future__ import annotations

import typer

from whence.cli.commands.validate.check import check
from whence.cli.commands.validate.measure import measure
from whence.cli.commands.validate.pbrf import pbrf
from whence.cli.commands.validate.plan import plan
from whence.cli.commands.validate.report import report
from whence.cli.commands.validate.run import run

validate = typer.Typer(
    help="Are the influences true? Trains the model again on parts of the corpus, and compares.\n\n"
    "plan → (train each run) → measure → report. `run` trains and measures all runs of a plan with your own trainer "
    "or, with --proxy, with a small model of the corpus. `check` and `pbrf` need no training.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (plan, run, measure, report, check, pbrf):
    validate.command()(command)
