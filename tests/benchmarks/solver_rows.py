"""The rows of a table of solvers: scores of every sequence for every query, kept on disk, and their LDS.

Shapes: ``Q`` queries, ``N`` training sequences.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from tqdm import tqdm
from truth import written

from whence_backends.contract import Float64Array
from whence_backends.validation.methods import denoise
from whence_backends.validation.outcomes import Outcomes
from whence_backends.validation.statistics.estimate import Estimate, Figure
from whence_backends.validation.statistics.lds import Lds, linear_datamodeling_score

# What a solver must gain on each bank, beyond the standard error of the paired difference, to be served.
BAR: Final = 0.05
SERVED: Final = "EK-FAC"


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """Influences of a solver in nats, float64 [Q, N], and the mean residual of its systems; NaN if it has none."""

    name: str
    scores: Float64Array
    residual: float = float("nan")


class Kept:
    """Sections of rows on disk. A section that is complete there is not computed again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def section(self, name: str, compute: Callable[[], Iterable[Row]]) -> list[Row]:
        """Return the rows of a section, which ``compute`` gives if they are not there."""
        listed = self._folder / f"{name}.json"
        if not listed.exists():
            entries = []
            for number, row in enumerate(tqdm(compute(), desc=name, unit="row", disable=None)):
                np.save(self._folder / f"{name}-{number}.npy", row.scores)
                entries.append({"name": row.name, "residual": row.residual})
            listed.write_text(json.dumps(entries))
        return [
            Row(
                name=entry["name"],
                scores=np.load(self._folder / f"{name}-{number}.npy"),
                residual=float(entry["residual"]),
            )
            for number, entry in enumerate(json.loads(listed.read_text()))
        ]


def print_rows(halves: Outcomes, served: Row, rows: Iterable[Row]) -> list[str]:
    """Print the LDS of rows, raw and denoised, with paired differences from what is served; return who passes the bar.

    ``halves`` are the models of a bank's random halves, a run each.
    """
    plain, signal = _lds(halves, served.scores), _lds(halves, denoise(served.scores).signal)
    columns = ("influence", "less EK-FAC", "signal", "less its signal")
    print(f"\n{'':52} " + " ".join(f"{column:>15}" for column in columns) + f" {'residual':>9}", flush=True)
    passed = []
    for row in (served, *rows):
        raw, denoised = _lds(halves, row.scores), _lds(halves, denoise(row.scores).signal)
        cells = [written(raw.estimate()), written(raw.minus(plain), signed=True)]
        cells += [written(denoised.estimate()), written(denoised.minus(signal), signed=True)]
        left = "" if np.isnan(row.residual) else f"{row.residual:.2g}"
        print(f"{row.name:52} " + " ".join(f"{cell:>15}" for cell in cells) + f" {left:>9}", flush=True)
        passed += [row.name] if passes(denoised.minus(signal)) else []
    return passed


def passes(difference: Figure) -> bool:
    """Return whether a gain is at least the bar when its standard error is taken off."""
    return isinstance(difference, Estimate) and difference.value - difference.standard_error >= BAR


def _lds(halves: Outcomes, scores: Float64Array) -> Lds:
    lds = linear_datamodeling_score(halves.members, scores, halves.queries)
    assert isinstance(lds, Lds), lds
    return lds
