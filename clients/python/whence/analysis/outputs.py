"""What a study leaves in a folder: its figure as SVG and PNG, a table as Parquet and CSV, and everything as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from whence import dataframes
from whence._json import finite
from whence.analysis import figures
from whence.analysis.concentration import Concentration
from whence.analysis.distribution import Distribution
from whence.bulk.files import parquet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_distributions(studies: Sequence[Distribution], folder: Path) -> list[Path]:
    """Write the tails of queries, and return the paths, the figure first. What is there is replaced."""
    return _write("distribution", studies, folder, figures.distributions(studies))


def write_concentrations(studies: Sequence[Concentration], folder: Path) -> list[Path]:
    """Write the concentrations of queries, and return the paths, the figure first. What is there is replaced."""
    return _write("concentration", studies, folder, figures.concentrations(studies))


def _write(name: str, studies: Sequence[Distribution | Concentration], folder: Path, figure: Figure) -> list[Path]:
    parquet()  # raises where it is not installed, before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    table = dataframes.rows([study.row() for study in studies])
    written = figures.save(figure, folder, name)
    for suffix in ("parquet", "csv", "json"):
        written.append(folder / f"{name}.{suffix}")
    table.to_parquet(written[-3], index=False)
    table.to_csv(written[-2], index=False)
    document = {"study": name, "convention": studies[0].convention, "queries": [study.to_dict() for study in studies]}
    written[-1].write_text(json.dumps(finite(document), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return written
