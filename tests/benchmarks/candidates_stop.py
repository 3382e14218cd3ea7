"""How many exact scores are saved by stopping early, and what does it change?

    python tests/benchmarks/candidates_stop.py [--bank demo] [--work FOLDER] [--scores DIR/scores-tiny-20000.pickle]

For each bank of retrained models, each index, number of candidates and recall at which to stop: the share of exact
scores saved, the share of queries that stopped, the share of the first ten hits that are those of all candidates, and
the difference in their measured effect in nats, ± the standard error over queries and halves. Then, of the queries that
stopped, the recall of a full scan's first ten that answers predict, and the true one. ``--scores`` adds the sequences
that tests/benchmarks/recall.py scored and kept: without measured effects, and with candidates of the index alone.
"""

from __future__ import annotations

import argparse
import asyncio
import pickle
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from candidates import DEPTHS, SETTINGS, Judge, Judged, searched
from candidates_search import positions_of
from measure import print_machine
from recall_evaluation import Indexed
from truth import Ground, read, written

from whence_backends.contract import Float64Array
from whence_backends.validation.statistics.jackknife import joint_estimate
from whence_service.frontend.search import early_stop
from whence_service.frontend.search.candidates import Candidates, in_order_of_promise
from whence_service.frontend.search.early_stop import EarlyStop
from whence_service.frontend.search.recall import recall_of
from whence_service.frontend.search.refinement import first_round, second_round

COUNTS: Final = (100, 200, 400)
AT_RECALL: Final = (0.9, 0.95, 0.98, 0.99)
K: Final = DEPTHS[-1]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was scored for a query: the first hits, how many were scored, and the recall that is predicted."""

    hits: list[int]
    scored: int
    stopped: bool
    predicted: float


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", action="append", choices=["demo", "python"])
    parser.add_argument("--work", type=Path, help="Keep factors and indexes here, for another run.")
    parser.add_argument("--scores", type=Path, help="Scores that recall.py kept; only read your own files.")
    parser.add_argument("--checks", type=int, default=early_stop.CHECKS, help="Checks in a row that a query must pass.")
    arguments = parser.parse_args()
    early_stop.CHECKS = arguments.checks  # type: ignore[misc]
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.bank or ("python", "demo"):
            work = (arguments.work or Path(folder)) / name
            report_bank(read(name, work, all_linear=False), work)
    if arguments.scores:
        with arguments.scores.open("rb") as file:
            _, scores = pickle.load(file)
        for setting in scores.sequences:
            index = Indexed(scores, setting, 1)
            print(f"\n{arguments.scores.name}, index of {setting[1]} values, {setting[0]:.0%} kept")
            report(index, index.one_round, scores.exact, None)


def report_bank(ground: Ground, work: Path) -> None:
    """Print the table of each index of a bank."""
    found, influence = searched(ground, work), ground.scores.influence
    for setting in SETTINGS:
        index = found.indexes[setting]
        print(f"\nindex of {setting[1]} values, {setting[0]:.0%} kept")
        report(index, partial(found.proposals, index), influence * influence.shape[1], Judge(ground))


def report(index: Indexed, propose: Callable[[int, int], Candidates], exact: Float64Array, judge: Judge | None) -> None:
    """Print the table of an index. Shape of ``exact``: [Q, N]."""
    queries = range(len(exact))
    true = [set(row.tolist()) for row in np.argsort(-exact, axis=1, kind="stable")[:, :K]]
    print(
        f"{'candidates':>10} {'at recall':>9} {'saved':>6} {'stopped':>8} {'same':>6} {'effect':>16} "
        f"{'predicted':>10} {'true':>6}"
    )
    for count in COUNTS:
        proposals = [propose(query, count) for query in queries]
        whole = [asyncio.run(answer(index, proposals[query], query, exact[query], 1.0)) for query in queries]
        for at_recall in AT_RECALL:
            answers = [
                asyncio.run(answer(index, proposals[query], query, exact[query], at_recall)) for query in queries
            ]
            saved = 1 - sum(one.scored for one in answers) / sum(one.scored for one in whole)
            same = np.mean([len({*one.hits} & {*other.hits}) / K for one, other in zip(answers, whole, strict=True)])
            stopped = [query for query in queries if answers[query].stopped]
            found = [len({*answers[query].hits} & true[query]) / K for query in stopped]
            predicted = [answers[query].predicted for query in stopped]
            print(
                f"{count:10} {at_recall:9} {saved:6.2f} {len(stopped) / len(exact):8.2f} {same:6.3f} "
                f"{effect(judge, answers, whole):>16} {mean(predicted):>10} {mean(found):>6}"
            )


def effect(judge: Judge | None, answers: Sequence[Answer], whole: Sequence[Answer]) -> str:
    """Return the difference in the measured effect of the first hits."""
    if judge is None:
        return ""
    ours, theirs = (judged(judge, which) for which in (answers, whole))
    return written(joint_estimate(ours.by_query - theirs.by_query, ours.left_out - theirs.left_out), signed=True)


def judged(judge: Judge, answers: Sequence[Answer]) -> Judged:
    """Return the measured effect of the first hits."""
    return judge.effect(np.array([one.hits for one in answers]))


async def answer(index: Indexed, proposals: Candidates, query: int, exact: Float64Array, at_recall: float) -> Answer:
    """Score candidates as :class:`whence_service.frontend.search.two_stage.TwoStageSearch` does."""
    stop, known = EarlyStop(queries=1, top_k=K, at_recall=at_recall), dict[int, list[float]]()

    async def score(candidates: Candidates, upto: Candidates) -> None:
        for portion in stop.portions([candidates], [upto], index.sequences):
            fresh = [each for each in in_order_of_promise(stop.unfinished(portion)) if each not in known]
            if fresh:
                known.update((position, [float(exact[position])]) for position in fresh)
                await stop.check([candidates], known, index.sequences, 1.0)

    first = first_round(proposals, index.sequences)
    await score(proposals, first)
    if not stop.stopped and first != proposals:
        learned, better = index.learned(query, positions_of(first.positive), len(proposals.positive))
        proposals = second_round(proposals, first, better, learned)
        await stop.check([proposals], known, index.sequences, 1.0)
    await score(proposals, proposals)
    influences = {position: row[0] for position, row in known.items()}
    recall = recall_of(proposals.positive, influences, K, index.sequences, sign=1)
    assert recall is not None
    return Answer(
        hits=sorted(known, key=lambda position: (-exact[position], position))[:K],
        scored=len(known),
        stopped=bool(stop.stopped) and len(known) < len(proposals.positive),
        predicted=recall.recall,
    )


def mean(values: Sequence[float]) -> str:
    """Return the mean, if there is one."""
    return f"{np.mean(values):.3f}" if values else "-"


if __name__ == "__main__":
    main()
