"""What the models of a plan said, as arrays: the ground truth of a validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whence_backends.validation.plan import Run, RunKind

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcomes:
    """The measured runs of a plan. Shapes: ``R`` runs, ``Q`` queries, ``N`` training sequences.

    ``members`` bool [R, N] says which sequences each model was trained on; ``queries`` float64 [R, Q] and ``sequences``
    float64 [R, N] are log-likelihoods in nats: of each query's completion, and of each training sequence.
    """

    runs: tuple[Run, ...]
    members: NDArray[np.bool_]
    queries: FloatArray
    sequences: FloatArray

    def of(self, kind: RunKind) -> Outcomes:
        """Return the runs of one kind."""
        return self._chosen([run.kind is kind for run in self.runs])

    def of_first_seed(self) -> Outcomes:
        """Return the first run of each name."""
        seen: set[str] = set()
        return self._chosen([not (run.name in seen or seen.add(run.name)) for run in self.runs])  # type: ignore[func-returns-value]

    def averaged(self) -> Outcomes:
        """Return one run for each name, with the mean over its seeds."""
        names = list(dict.fromkeys(run.name for run in self.runs))
        rows = [[row for row, run in enumerate(self.runs) if run.name == name] for name in names]
        return Outcomes(
            runs=tuple(self.runs[of_name[0]] for of_name in rows),
            members=self.members[[of_name[0] for of_name in rows]],
            queries=np.stack([self.queries[of_name].mean(axis=0) for of_name in rows]),
            sequences=np.stack([self.sequences[of_name].mean(axis=0) for of_name in rows]),
        )

    def pairs(self) -> list[tuple[int, int]]:
        """Return the rows of the first two runs of each name that has two, which differ in their seed alone."""
        rows: dict[str, list[int]] = {}
        for row, run in enumerate(self.runs):
            rows.setdefault(run.name, []).append(row)
        return [(of_name[0], of_name[1]) for of_name in rows.values() if len(of_name) > 1]

    def _chosen(self, mask: list[bool]) -> Outcomes:
        rows = np.flatnonzero(mask)
        return Outcomes(
            runs=tuple(self.runs[row] for row in rows),
            members=self.members[rows],
            queries=self.queries[rows],
            sequences=self.sequences[rows],
        )
