"""What changes in a cluster is seen in the difference of a file."""

from __future__ import annotations

from helm import snapshots
from helm.chart import CASES, Rendered


def test_the_essential_fields_are_those_of_the_snapshot(case: str, rendered: Rendered) -> None:
    kept = (snapshots.FOLDER / f"{case}.txt").read_text(encoding="utf-8")
    assert snapshots.snapshot(rendered) == kept, "the chart changed: run python tests/helm/snapshots.py and look"


def test_every_snapshot_is_of_values_that_there_are() -> None:
    assert {path.stem for path in snapshots.FOLDER.glob("*.txt")} == set(CASES)
