"""``whence doctor``: is everything in order, here and at the server?"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Annotated, Final

import typer

from whence.cli import console, options
from whence.cli.checks.artefacts import check_artefacts
from whence.cli.checks.check import Check, Outcome
from whence.cli.checks.installation import check_installation
from whence.cli.checks.server import check_server
from whence.cli.connection import Connection, connecting
from whence.cli.render import checks as render

_PANEL_ARTEFACTS: Final = "Artefacts on this machine"


@connecting
def doctor(
    connection: Connection = Connection(timeout=5.0),
    model: Annotated[
        str | None,
        typer.Option(
            help="Check artefacts on this machine instead of a server: this model and the artefacts below.",
            rich_help_panel=_PANEL_ARTEFACTS,
        ),
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="The folder that `whence corpus` wrote.", rich_help_panel=_PANEL_ARTEFACTS)
    ] = None,
    factors: Annotated[
        Path | None, typer.Option(help="The folder that `whence fit` wrote.", rich_help_panel=_PANEL_ARTEFACTS)
    ] = None,
    index: Annotated[
        Path | None, typer.Option(help="The folder that `whence index` wrote.", rich_help_panel=_PANEL_ARTEFACTS)
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="The folder that `whence validate` wrote.", rich_help_panel=_PANEL_ARTEFACTS)
    ] = None,
    training_sequences: Annotated[
        int | None,
        typer.Option(min=1, help="N, where the worker will be given it.", rich_help_panel=_PANEL_ARTEFACTS),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Check the installation, the server and the models; the exit code is 1 where anything fails.

    With --model: check instead whether artefacts belong together, without loading the model. Every command makes this
    check before it begins.

    Example: whence doctor --model ./model --corpus corpus --factors factors
    """
    named = {
        "corpus": corpus,
        "factors": factors,
        "index": index,
        "certificate": certificate,
        "training_sequences": training_sequences,
    }
    if model is None and any(value is not None for value in named.values()):
        raise typer.BadParameter("name the model as well: give --model")
    requested = check_server(connection) if model is None else check_artefacts(model, **named)
    out = console.stdout()
    done: list[Check] = []
    for check in itertools.chain(check_installation(), requested):
        done.append(check)
        if not as_json:
            out.print(render.check(check))
    failed = any(check.outcome is Outcome.FAIL for check in done)
    if as_json:
        rows = [{**dataclasses.asdict(check), "outcome": check.outcome.value} for check in done]
        console.print_json({"ok": not failed, "checks": rows})
    else:
        out.print(render.verdict(done))
    if failed:
        raise typer.Exit(1)
