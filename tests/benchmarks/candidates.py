"""Which candidates are truer: those of the index, those that share tokens with the query, or both at equal cost?

For each bank of retrained models, each index and each number of candidates: candidates are found in each way, all are
ranked by their exact influence, and the ranking is judged by what retraining measures. The columns are the mean effect
of the first hit, of the first 3 and of the first 10, in nats; the LDS of the positive influences of the first ten hits,
and of all candidates, everything else being 0; and the share of a full scan's first ten that is found. Below the row of
each way but the index are its differences from the index, ± the standard error over queries and halves. *Index* is in
two rounds, as it is served; *union* has half of the first round by tokens, *half by tokens* half of both rounds.

    python tests/benchmarks/candidates.py [--bank demo] [--work FOLDER]

The banks have a thousand sequences, so that an index of the default size loses almost nothing. The smaller ones lose
what a default index loses of a large model.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from candidates_search import INDEX, Propose, Searched, search
from measure import print_machine
from numpy.typing import NDArray
from recall_evaluation import Setting
from truth import BANKS, Ground, read, written

from whence_backends.contract import Float64Array
from whence_backends.validation.bank import Bank
from whence_backends.validation.proxy_bank import MODEL
from whence_backends.validation.queries import read_queries
from whence_backends.validation.statistics.effects import in_out
from whence_backends.validation.statistics.jackknife import joint_estimate
from whence_backends.validation.statistics.lds import Lds, linear_datamodeling_score

COUNTS: Final = (10, 25, 50, 100, 200)
DEPTHS: Final = (1, 3, 10)
# The share of coordinates that is kept, and the values of a sketch: the default, and smaller ones.
SETTINGS: Final[tuple[Setting, ...]] = ((0.5, 15872), (0.05, 3584), (0.02, 1536))


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """A figure of each query [Q], and the same without each run [R, Q]."""

    by_query: Float64Array
    left_out: Float64Array


def main() -> None:
    """Print the tables of each bank."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", action="append", choices=["demo", "python"])
    parser.add_argument("--work", type=Path, help="Keep factors and indexes here, for another run.")
    arguments = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.bank or ("python", "demo"):
            work = (arguments.work or Path(folder)) / name
            ground = read(name, work, all_linear=False)
            report(ground, searched(ground, work))


def searched(ground: Ground, work: Path) -> Searched:
    """Return what can be searched for a bank's queries."""
    bank, influence = BANKS / ground.name, ground.scores.influence
    return search(
        str(bank / MODEL),
        work / "factors",
        work / "corpus",
        read_queries(Bank.open(bank).queries_file),
        SETTINGS,
        influence * influence.shape[1],
    )


def report(ground: Ground, found: Searched) -> None:
    """Print the table of each index."""
    judge = Judge(ground)
    columns = ("first", "first 3", "first 10", "LDS of 10", "LDS of all", "found of 10")
    everything = judge.judge(lambda query, count: range(ground.scores.influence.shape[1]), 0)
    print(f"\n{'':29} " + " ".join(f"{column:>16}" for column in columns))
    print(f"{'full scan':29} " + " ".join(figures(everything)))
    for setting in SETTINGS:
        print(f"\nindex of {setting[1]} values, {setting[0]:.0%} kept")
        ways = found.ways(setting)
        for count in COUNTS:
            base = judge.judge(ways[INDEX], count)
            for name, way in ways.items():
                judged = base if name == INDEX else judge.judge(way, count)
                print(f"{count:4} {name:24} " + " ".join(figures(judged)))
                if name != INDEX:
                    print(f"{'':29} " + " ".join(figures(judged, base)))


def figures(judged: list[Judged], base: list[Judged] | None = None) -> list[str]:
    """Return the figures as they are printed; with ``base``, less those."""
    if base is None:
        return [f"{written(joint_estimate(one.by_query, one.left_out)):>16}" for one in judged]
    pairs = zip(judged, base, strict=True)
    return [
        f"{written(joint_estimate(one.by_query - other.by_query, one.left_out - other.left_out), signed=True):>16}"
        for one, other in pairs
    ]


class Judge:
    """Judges rankings by what retraining measured, and by a full scan."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._effects = in_out(ground.halves.members, ground.halves.queries)
        self._without = np.stack([self._effects.without(run) for run in range(len(ground.halves.runs))])  # [R, Q, N]
        self._first_ten = np.argsort(-ground.scores.influence, axis=1, kind="stable")[:, : DEPTHS[-1]]

    def judge(self, way: Propose, count: int) -> list[Judged]:
        """Return the figures of the columns."""
        influence = self._ground.scores.influence
        chosen = np.full(influence.shape, -np.inf)
        for query, row in enumerate(influence):
            positions = np.array(way(query, count))
            chosen[query, positions] = row[positions]
        order = np.argsort(-chosen, axis=1, kind="stable")
        answer = np.zeros(influence.shape)
        np.put_along_axis(answer, order[:, : DEPTHS[-1]], np.take_along_axis(chosen, order[:, : DEPTHS[-1]], 1), 1)
        found = [
            len({*ours} & {*theirs}) / DEPTHS[-1]
            for ours, theirs in zip(order[:, : DEPTHS[-1]].tolist(), self._first_ten.tolist(), strict=True)
        ]
        return [
            *(self.effect(order[:, :depth]) for depth in DEPTHS),
            *(self._lds(np.maximum(scores, 0)) for scores in (answer, chosen)),
            Judged(by_query=np.array(found), left_out=np.tile(found, (len(self._without), 1))),
        ]

    def effect(self, hits: NDArray[np.intp]) -> Judged:
        """Return the mean measured effect of each query's hits, [Q, n]."""
        return Judged(
            by_query=np.take_along_axis(self._effects.values, hits, 1).mean(axis=1),
            left_out=np.take_along_axis(self._without, hits[None], 2).mean(axis=2),
        )

    def _lds(self, scores: Float64Array) -> Judged:
        lds = linear_datamodeling_score(self._ground.halves.members, scores, self._ground.halves.queries)
        assert isinstance(lds, Lds), lds
        return Judged(by_query=lds.by_query, left_out=lds.left_out)


if __name__ == "__main__":
    main()
