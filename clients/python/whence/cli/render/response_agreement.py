"""The agreement of influences with the proximal Bregman response function, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from whence.terminal import printable

_METHODS: Final = {
    "ekfac": "EK-FAC, as it is served",
    "dot_product": "dot product of gradients",
    "gauss_newton": "damped Gauss-Newton matrix",
}


def response_agreement(result: Mapping[str, Any]) -> RenderableType:
    """Return the table of a result of :func:`whence_backends.validation.pbrf.job.run_pbrf`, which is given as JSON."""
    setting, points = result["setting"], len(result["points"])
    table = Table(
        title=f"{len(result['queries'])} queries, {points} training sequences, {setting['free_parameters']:,} free "
        f"weights, damping {result['config']['damping_factor']:g}",
        title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    table.add_column("against the response", no_wrap=True)
    for name in ("converged", "correlation", "slope", "more than dot product"):
        table.add_column(name, justify="right", no_wrap=True)
    for copies, reached in result["converged"].items():
        rows = [row for row in result["agreements"] if f"{row['copies']:g}" == copies]
        table.add_section()
        table.add_row(f"to {copies} {'copy' if copies == '1' else 'copies'}", f"{reached} of {points}", style="bold")
        for row in rows:
            more = "" if row["method"] == "dot_product" else _interval(row["over_dot_product"])
            table.add_row(f"  {_METHODS[row['method']]}", "", _interval(row["pearson"]), _interval(row["slope"]), more)
        if not rows:
            table.add_row("  too few converged for figures")
    note = (
        "Correlation over the sequences, mean over queries; slope: nats of response for each nat promised; intervals "
        "of 95 %."
    )
    return Group(table, *(Text(printable(remark), style="yellow") for remark in result["remarks"]), Text(note, "dim"))


def _interval(value: Mapping[str, float]) -> str:
    return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
