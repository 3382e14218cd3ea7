"""The metrics of a data set of DATE-LM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_METRICS: Final = ("recall50", "mrr", "auprc", "average_precision")


def date_lm_report(report: Mapping[str, Any]) -> RenderableType:
    """Return a row for each method, with the standard errors over reference rows."""
    methods = report["metrics"]
    names = [name for name in _METRICS if name in methods["influence"]]
    table = Table("method", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for method, values in methods.items():
        table.add_row(method, *(f"{values[name]:.3f} ± {values[f'{name}_se']:.3f}" for name in names))
    notes = [f"{report['train']:,} training rows, {report['ref']:,} reference rows"]
    if unmatched := methods["influence"].get("unmatched"):
        notes.append(f"{unmatched:,} reference rows have no relevant training row and are left out")
    if "bm25" not in methods:
        notes.append("BM25 is left out: pip install 'whence[bm25]'")
    return Group(table, *map(Text, notes))
