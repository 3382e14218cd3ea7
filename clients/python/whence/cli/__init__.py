"""The command line ``whence``. Each command is in a file of its own, which is imported when it runs."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Annotated, Final

import typer

from whence import __version__, environment
from whence.cli import failures
from whence.cli.lazy import LazyGroup, Subcommand

COMMANDS: Final = (
    Subcommand("attribute", "whence.cli.commands.attribute:attribute", "Where did an output come from?"),
    Subcommand("score", "whence.cli.commands.score:score", "How much do these sequences influence an output?"),
    Subcommand("scores", "whence.cli.commands.scores:scores", "Score every query of a file against every sequence."),
    Subcommand("explain", "whence.cli.commands.explain:explain", "Which layers and tokens carry an influence?"),
    Subcommand("groups", "whence.cli.commands.groups:groups", "How much of an output comes from each source?"),
    Subcommand("outliers", "whence.cli.commands.outliers:outliers", "Which sequences influence themselves most?"),
    Subcommand("harness", "whence.cli.commands.harness:harness", "Where did the answers of an evaluation come from?"),
    Subcommand("explore", "whence.cli.commands.explore:explore", "Look at influences in a browser.", "explore"),
    Subcommand("report", "whence.cli.commands.report:report", "Make one HTML file of results, for a colleague."),
    Subcommand(
        "contamination",
        "whence.cli.commands.contamination:contamination",
        "Is a benchmark in the training data, and does it matter?",
    ),
    Subcommand("study", "whence.cli.commands.study:study", "How heavy are the tails, how few the sequences?", "study"),
    Subcommand("models", "whence.cli.commands.models:models", "What does the server serve?"),
    Subcommand("doctor", "whence.cli.commands.doctor:doctor", "Is everything in order, here and at the server?"),
    Subcommand("demo", "whence.cli.commands.demo:demo", "Try Whence on a small model.", "torch"),
    Subcommand("corpus", "whence.cli.commands.corpus:corpus", "Cut documents into training sequences.", "worker"),
    Subcommand("fit", "whence.cli.commands.fit:fit", "Fit a model's EK-FAC factors on its corpus.", "torch"),
    Subcommand("export", "whence.cli.commands.export:export", "Make a model servable without torch.", "export"),
    Subcommand("index", "whence.cli.commands.index:index", "Index a corpus, so that queries take no scan.", "torch"),
    Subcommand("worker", "whence.cli.commands.worker:worker", "Run a worker: a model, factors, shards.", "torch"),
    Subcommand("validate", "whence.cli.commands.validate:validate", "Are the influences true?", "validate"),
    Subcommand("keys", "whence.cli.commands.keys:keys", "Manage the API keys of a front end.", "service"),
    Subcommand("serve", "whence.cli.commands.serve:serve", "Run the front end, which clients talk to.", "service"),
)


class WhenceGroup(LazyGroup):
    """The commands of ``whence``."""

    subcommands = COMMANDS


app = typer.Typer(
    name="whence",
    cls=WhenceGroup,
    help="Which training sequences did this output of a language model come from?",
    context_settings={"help_option_names": ["-h", "--help"]},
    # Errors are rendered by `failures`; --debug shows Python's plain traceback.
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)


def _print_version(requested: bool) -> None:
    if requested:
        print(f"whence {__version__}")
        raise typer.Exit


@app.callback()
def _whence(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", envvar="WHENCE_DEBUG", help="Show tracebacks of errors.")] = False,
) -> None:
    """Take the options before the command. :class:`LazyGroup` reads ``debug``."""
    environment.check()


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted, 143 ended by SIGTERM."""
    if os.getpid() == 1:
        _end_on_sigterm()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # replaced by an object that is not a text file
            # A terminal without block characters shows question marks, which must not end the program.
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        app(prog_name="whence")
    finally:
        _flush()


def _end_on_sigterm() -> None:
    """Let SIGTERM end the first process of a container, whose signals the kernel ignores unless they are handled.

    Commands and servers that are still starting end at once, with their cleanup; servers that listen drain instead.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _flush() -> None:
    """Write buffered output while errors can still be reported. A closed pipe is no error."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            failures.show(error)
            sys.exit(failures.FAILED)
