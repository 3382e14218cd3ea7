"""``whence doctor``: is everything in order, here and at the server?"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from whence.cli import checks, console, options, render_doctor


def doctor(
    server: options.Server = options.DEFAULT_SERVER,
    tls: options.Tls = False,
    ca_file: options.CaFile = None,
    timeout: Annotated[float, typer.Option(help="Wait this many seconds for the server.", min=0.001)] = 5.0,
    as_json: options.Json = False,
) -> None:
    """Check the installation, the server and the models; the exit code is 1 where anything fails."""
    connection = options.Connection(server=server, tls=tls, ca_file=ca_file, timeout_s=timeout)
    out = console.stdout()
    done: list[checks.Check] = []
    for check in (*checks.here(), *checks.server(connection)):
        done.append(check)
        if not as_json:
            out.print(render_doctor.check(check))
    failed = any(check.outcome is checks.Outcome.FAIL for check in done)
    if as_json:
        rows = [{**dataclasses.asdict(check), "outcome": check.outcome.value} for check in done]
        console.print_json({"ok": not failed, "checks": rows})
    else:
        out.print(render_doctor.verdict(done))
    if failed:
        raise typer.Exit(1)
