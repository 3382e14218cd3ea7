"""How true are the influences? The banks of retrained models against today's code, without retraining.

Each bank of `tests/banks` has a small model, its corpus, forty queries, and what models said that were trained on
halves of the corpus. This fits factors, scores every sequence for every query with the code that serves, and prints
for each bank the LDS of each method, the effect by rank, and sums over sources against training without the source.
The last line has the means over the banks:

    lds_ekfac lds_signal lds_positive lds_bm25 lds_dot lds_ceiling effect_rank1_ratio coverage_groups models

Run: `python tests/benchmarks/truth.py [--bank demo] [--all-linear]`
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from whence_backends.contract import Float64Array
from whence_backends.corpus import Corpus
from whence_backends.fit import FitConfig, fit
from whence_backends.validation.bank import Bank
from whence_backends.validation.group_intervals import served_intervals
from whence_backends.validation.methods import (
    BM25,
    DOT,
    EKFAC,
    POSITIVE,
    SIGNAL,
    Scores,
    denoise,
    methods,
)
from whence_backends.validation.outcomes import Outcomes
from whence_backends.validation.plan import RunKind
from whence_backends.validation.proxy_bank import MODEL, make_corpus
from whence_backends.validation.queries import read_queries
from whence_backends.validation.scoring import ScoringConfig, score_all
from whence_backends.validation.statistics.ceiling import ceiling, reliability
from whence_backends.validation.statistics.effects import in_out
from whence_backends.validation.statistics.estimate import Estimate, Figure
from whence_backends.validation.statistics.groups import (
    GroupAgreement,
    Intervals,
    Losses,
    group_agreement,
    losses_without,
)
from whence_backends.validation.statistics.lds import Lds, linear_datamodeling_score

BANKS: Final = Path(__file__).parents[1] / "banks"
# Ranks, from 1, of the table of effects; the last ones count from the end.
RANKS: Final = ((1, 1), (2, 3), (4, 10), (11, 30), (31, 100), (101, 300))
LAST: Final = ((-30, -11), (-10, -4), (-3, -1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """A bank with the scores of today's code: outcomes of the halves, seeds averaged, and of all runs."""

    name: str
    all_runs: Outcomes
    halves: Outcomes
    scores: Scores
    sources: Sequence[str]


def main() -> None:
    """Print the tables of each bank, and the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", action="append", choices=["demo", "python"])
    parser.add_argument("--all-linear", action="store_true", help="Also fit and score all linear layers.")
    parser.add_argument("--work", type=Path, help="Keep factors and indexes here, for another run.")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        work = arguments.work or Path(folder)
        rows = [
            report(read(name, work / name, all_linear=arguments.all_linear))
            for name in arguments.bank or ("demo", "python")
        ]
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    print("\n" + " ".join(f"{key}={value:.3f}" for key, value in means.items()) + f" models={len(rows)}")


def read(name: str, work: Path, *, all_linear: bool, model: str = "") -> Ground:
    """Return a bank with its scores, which take most of the time; of ``model``, or of the bank's own."""
    started, folder = time.perf_counter(), BANKS / name
    bank = Bank.open(folder)
    make_corpus(folder / "documents.jsonl", folder / "tokenizer", work / "corpus")
    corpus = Corpus.open(work / "corpus")
    model = model or str(folder / MODEL)
    factors = fit(FitConfig(model=model, out=work / "factors"), corpus)
    config = ScoringConfig(
        model=model, factors=factors.folder, corpus=corpus.path, work=work, all_linear=all_linear, device="cpu"
    )
    scores = score_all(config, read_queries(bank.queries_file))
    records = [corpus.record(position) for position in range(corpus.sequences)]
    outcomes = bank.outcomes([record.document_id for record in records])
    print(f"\n# {name}: {len(outcomes.runs)} runs, scored in {time.perf_counter() - started:.0f} s")
    return Ground(
        name=name,
        all_runs=outcomes,
        halves=outcomes.of(RunKind.SUBSET).averaged(),
        scores=scores,
        sources=[record.source for record in records],
    )


def report(ground: Ground) -> dict[str, float]:
    """Print the tables of a bank and return its part of the last line."""
    denoised = denoise(ground.scores.influence)
    table = methods(ground.scores, denoised)
    lds = print_lds(ground, table)
    ratio = print_effects(ground, denoised.signal)
    coverage = print_groups(ground, table)
    return {
        "lds_ekfac": lds[EKFAC],
        "lds_signal": lds[SIGNAL],
        "lds_positive": lds[POSITIVE],
        "lds_bm25": lds[BM25],
        "lds_dot": lds[DOT],
        "lds_ceiling": value(ceiling_of(ground)),
        "effect_rank1_ratio": ratio,
        "coverage_groups": coverage,
    }


def print_lds(ground: Ground, table: dict[str, Float64Array]) -> dict[str, float]:
    """Print each method's LDS and its paired difference from EK-FAC's; return the scores."""
    scored = {name: measured_lds(ground, scores) for name, scores in table.items()}
    print(f"\n{'LDS':28} {'':14} {'less EK-FAC':>16}")
    for name, lds in scored.items():
        print(f"{name:28} {written(lds.estimate()):14} {written(lds.minus(scored[EKFAC]), signed=True):>16}")
    if SIGNAL in scored:
        print(f"{'signal less BM25':28} {'':14} {written(scored[SIGNAL].minus(scored[BM25]), signed=True):>16}")
    print(f"{'ceiling':28} {written(ceiling_of(ground))}")
    return {name: value(lds.estimate()) for name, lds in scored.items()}


def measured_lds(ground: Ground, scores: Float64Array) -> Lds:
    """Return the LDS of scores on the halves of a bank."""
    lds = linear_datamodeling_score(ground.halves.members, scores, ground.halves.queries)
    assert isinstance(lds, Lds), lds
    return lds


def ceiling_of(ground: Ground) -> Figure:
    """Return the LDS that a perfect method would reach, given the noise of seeds."""
    halves = ground.all_runs.of(RunKind.SUBSET)
    pairs = halves.pairs()
    seeds = reliability(halves.queries[[first for first, _ in pairs]], halves.queries[[second for _, second in pairs]])
    names = [run.name for run in halves.runs]
    return ceiling(seeds, [names.count(run.name) for run in ground.halves.runs])


def print_effects(ground: Ground, signal: Float64Array) -> float:
    """Print predicted and measured effects by rank; return measured over predicted at rank 1."""
    influence = ground.scores.influence
    measured = in_out(ground.halves.members, ground.halves.queries).values
    order = np.argsort(-influence, axis=1, kind="stable")
    print(f"\n{'rank':10} {'influence':>10} {'signal':>10} {'measured':>16} {'right sign':>11}")
    ratio = float("nan")
    for first, last in (*RANKS, *LAST):
        ends = (first - 1, last) if first > 0 else (first, last + 1 or None)
        columns = order[:, slice(*ends)]
        promised, kept, effect = (np.take_along_axis(values, columns, 1) for values in (influence, signal, measured))
        error = effect.mean(axis=1).std(ddof=1) / np.sqrt(len(effect))
        right = float((np.sign(promised) == np.sign(effect)).mean())
        print(
            f"{f'{first} to {last}':10} {promised.mean():+10.3f} {kept.mean():+10.3f} "
            f"{effect.mean():+9.3f} ± {error:.3f} {right:11.2f}"
        )
        if (first, last) == (1, 1):
            ratio = float(effect.mean() / promised.mean())
    return ratio


def print_groups(ground: Ground, table: dict[str, Float64Array]) -> float:
    """Print sums over sources against training without each; return the coverage of the served intervals."""
    losses, members = without_sources(ground)
    influence, signal = ground.scores.influence, table[SIGNAL]
    sizes = np.abs(influence)
    sums = {name: members @ table[name].T for name in (EKFAC, SIGNAL, POSITIVE)}
    rows = {
        "influence, as served before": (sums[EKFAC], Intervals.symmetric(sums[EKFAC], 0 * sums[EKFAC])),
        "influence, each off by itself": (sums[EKFAC], served_intervals(members, influence, sizes)),
        "positive, each off by itself": (sums[POSITIVE], served_intervals(members, table[POSITIVE], sizes)),
        "signal, as served": (sums[SIGNAL], served_intervals(members, signal, np.sqrt(influence * signal))),
    }
    columns = " ".join(f"{column:>14}" for column in ("spearman", "pearson", "slope", "coverage", "below", "above"))
    print(f"\n{f'sums over {len(members)} sources':30} {columns}")
    coverage = float("nan")
    for name, (predicted, intervals) in rows.items():
        agreement = group_agreement(predicted, intervals, losses)
        assert isinstance(agreement, GroupAgreement), agreement
        figures = (agreement.spearman, agreement.pearson, agreement.slope)
        shares = (agreement.coverage, agreement.below, agreement.above)
        print(f"{name:30} " + " ".join(f"{written(figure):>14}" for figure in (*figures, *shares)))
        coverage = value(agreement.coverage)
    return coverage


def without_sources(ground: Ground) -> tuple[Losses, Float64Array]:
    """Return what is lost without each source, and its sequences, float64 [G, N]."""
    without = ground.all_runs.of(RunKind.WITHOUT)
    names = list(dict.fromkeys(run.name for run in without.runs))
    groups = np.array([names.index(run.name) for run in without.runs])
    losses = losses_without(ground.all_runs.of(RunKind.FULL).queries, without.queries, groups)
    assert isinstance(losses, Losses), losses
    return losses, np.array([[f"without-{source}" == name for source in ground.sources] for name in names], float)


def value(figure: Figure) -> float:
    """Return a figure's value, NaN where there is none."""
    return figure.value if isinstance(figure, Estimate) else float("nan")


def written(figure: Figure, *, signed: bool = False) -> str:
    """Return a figure with its standard error."""
    if not isinstance(figure, Estimate):
        return "not known"
    return f"{figure.value:{'+' if signed else ''}.3f} ± {figure.standard_error:.3f}"


if __name__ == "__main__":
    main()
