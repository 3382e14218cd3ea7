"""Sums of signal over sources: which interval is honest, and what a sample of the sequences shows of them.

For each bank of `tests/banks`, held against training without each source:

* The candidates for the square of the error of a sum of signals. `needed` is the mean square of measured less
  predicted, less that of the noise of seeds, over the claimed one, where intervals are closed; 1 would be right, and
  less is too wide. Coverage alone tells little, since the noise of seeds is wide: it is printed with and without
  open upper ends. `told` sums have a lower end above 0, `right` is the share of them that is measured above 0.
* What is lost over the sum of signals, by the share of the query's positive signal that the source has.
* Samples as `whence groups` draws them, from the index's estimates: the error of sums over all sources against those
  of all sequences, as a share of their root mean square, for influences and signals; the error of the latter that the
  sample tells; and the share of measured losses, beside the noise of seeds, in the intervals that would be served.

Run: `python tests/benchmarks/group_signals.py [--bank demo]`
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import torch
from truth import BANKS, Ground, read, value, without_sources, written

from whence_backends.contract import EngineConfig, Float64Array
from whence_backends.corpus import Corpus
from whence_backends.ekfac.factors import Factors
from whence_backends.engines import pytorch
from whence_backends.index import Index
from whence_backends.index.search import Searcher
from whence_backends.index.sketch import fold_gradient, with_damping
from whence_backends.models.source import locate_model
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.validation.methods import denoise
from whence_backends.validation.proxy_bank import MODEL
from whence_backends.validation.queries import read_queries, tokenize
from whence_backends.validation.statistics.groups import Intervals, group_agreement
from whence_backends.worker.searching.group_sums import RowEstimates, sum_groups
from whence_service.frontend.calls.group_estimates import Drawn, GroupTotals, estimate_groups
from whence_service.frontend.calls.group_signals import sample_distribution, sum_signals
from whence_service.shrinkage.distribution import Distribution
from whence_service.shrinkage.group_intervals import interval
from whence_service.shrinkage.shrinkage import shrink

# The share from which the served intervals are open above.
OPEN: Final = 0.5
SHARES: Final = (-np.inf, 0.1, 0.25, 0.5, 0.75, 1.01)
SAMPLES: Final = (100, 400)
SEEDS: Final = 4
DAMPING: Final = 0.1


def main() -> None:
    """Print the tables of each bank."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", action="append", choices=["demo", "python"])
    parser.add_argument("--work", type=Path, help="Keep factors and indexes here, for another run.")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.bank or ("python", "demo"):
            work = (arguments.work or Path(folder)) / name
            ground = read(name, work, all_linear=False)
            signal = denoise(ground.scores.influence).signal
            print_intervals(ground, signal)
            print_shares(ground, signal)
            print_samples(ground, signal, work)


def print_intervals(ground: Ground, signal: Float64Array) -> None:
    """Print the coverage of each candidate."""
    losses, members = without_sources(ground)
    predicted, off = members @ signal.T, losses.values - members @ signal.T
    is_open = share_of(members, signal) >= OPEN
    needed = (off**2 - losses.standard_errors**2)[~is_open].mean()
    columns = (f"{column:>14}" for column in ("error", "needed", "closed", "open", "below", "above", "told", "right"))
    print(f"\n{'error of a sum of signals':34} " + " ".join(columns))
    for name, errors in candidates(ground, members, signal).items():
        closed = Intervals.symmetric(predicted, errors)
        opened = Intervals(low=closed.low, high=np.where(is_open, np.inf, closed.high))
        first, second = (group_agreement(predicted, intervals, losses) for intervals in (closed, opened))
        square = (errors**2)[~is_open].mean()
        figures = (written(first.coverage), written(second.coverage), written(second.below), written(second.above))
        ratio = f"{needed / square:14.2f}" if square else f"{'-':>14}"
        told = closed.low > 0
        right = f"{(losses.values[told] > 0).mean():14.2f}" if told.any() else f"{'-':>14}"
        print(
            f"{name:34} {np.sqrt((errors**2).mean()):14.2f} {ratio} "
            + " ".join(f"{text:>14}" for text in figures)
            + f" {told.mean():14.3f} {right}"
        )
    print(f"open: {is_open.mean():.3f} of sums; seeds' error {np.sqrt((losses.standard_errors**2).mean()):.2f}")


def candidates(ground: Ground, members: Float64Array, signal: Float64Array) -> dict[str, Float64Array]:
    """Return the standard errors of sums over groups, float64 [G, Q], by name."""
    influence = ground.scores.influence
    shrinkages = [shrink(Distribution.of(row.tolist())) for row in influence]
    scale = np.array([shrinkage.scale for shrinkage in shrinkages if shrinkage is not None])
    total = members @ signal.T
    noise = members.sum(axis=1)[:, None] * scale**2
    squares = members @ (influence**2).T
    return {
        "none": 0 * total,
        "signal²": np.sqrt(members @ (signal**2).T),
        "signal · influence (served)": np.sqrt(members @ (signal * influence).T),
        "(influence - signal)²": np.sqrt(members @ ((influence - signal) ** 2).T),
        "scale of noise²": np.sqrt(noise),
        "scale of noise² + (sum / 2)²": np.sqrt(noise + total**2 / 4),
        "influence²": np.sqrt(squares),
        "influence² + (sum / 2)²": np.sqrt(squares + total**2 / 4),
        "(1.5 influence)²": 1.5 * np.sqrt(squares),
    }


def share_of(members: Float64Array, signal: Float64Array) -> Float64Array:
    """Return the share of each query's positive signal that each group has, float64 [G, Q]."""
    positive = np.maximum(signal, 0)
    return members @ positive.T / positive.sum(axis=1)


def print_shares(ground: Ground, signal: Float64Array) -> None:
    """Print what is lost, beside the sum, by the source's share of the positive signal."""
    losses, members = without_sources(ground)
    share, predicted = share_of(members, signal), members @ signal.T
    columns = " ".join(f"{column:>9}" for column in ("sums", "signal", "lost", "times", "lost > 0"))
    print(f"\n{'share of positive signal':24} {columns}")
    for low, high in pairwise(SHARES):
        inside = (share >= low) & (share < high)
        if inside.any():
            lost, told = losses.values[inside], predicted[inside]
            largest = f"{(lost / told).max():9.1f}" if low >= OPEN else f"{'':9}"
            print(
                f"{f'{max(low, 0):.2f} to {min(high, 1):.2f}':24} {inside.sum():9} {told.mean():+9.2f} "
                f"{lost.mean():+9.2f} {largest} {(lost > 0).mean():9.2f}"
            )


def print_samples(ground: Ground, signal: Float64Array, work: Path) -> None:
    """Print how far sums from a sample are from those of all sequences, and what their intervals hold."""
    losses, members = without_sources(ground)
    names = sorted(set(ground.sources))
    labels = np.array([names.index(source) for source in ground.sources], np.int32)
    places = [int(labels[np.argmax(of_group)]) for of_group in members]
    influence, (estimates, errors) = ground.scores.influence, index_estimates(ground, work)
    exact = [np.array([np.bincount(labels, row) for row in values]) for values in (influence, signal)]
    print(f"\n{'samples':>8} {'influence':>10} {'signal':>10} {'told':>10} {'coverage':>10}")
    for samples in SAMPLES:
        drawn = [
            [
                draw(
                    RowEstimates(positions=np.arange(len(labels)), groups=labels, estimates=e, errors=s),
                    x,
                    names,
                    samples,
                    seed,
                )
                for e, s, x in zip(estimates, errors, influence, strict=True)
            ]
            for seed in range(SEEDS)
        ]
        found, told, error, low, high = np.array(drawn).transpose(2, 0, 1, 3)  # [seeds, Q, G] each
        shares = (
            root_mean_square(found - exact[0]) / root_mean_square(exact[0]),
            root_mean_square(told - exact[1]) / root_mean_square(exact[1]),
            root_mean_square(error) / root_mean_square(exact[1]),
            np.mean(
                [
                    value(
                        group_agreement(
                            told[seed].T[places], Intervals(low=low[seed].T[places], high=high[seed].T[places]), losses
                        ).coverage
                    )
                    for seed in range(SEEDS)
                ]
            ),
        )
        print(f"{samples:8} " + " ".join(f"{share:10.3f}" for share in shares))


def draw(rows: RowEstimates, influence: Float64Array, names: Sequence[str], samples: int, seed: int) -> Float64Array:
    """Return of one draw the sums of influence and of signal, the error of the latter and its interval, [5, G]."""
    sums = sum_groups(tuple((name,) for name in names), [rows], samples, seed)
    columns = ((*sums.names, ""), sums.sequences, sums.estimate, sums.scale, sums.squared_scale)
    *totals, whole = (
        GroupTotals(name=name, sequences=int(count), estimate=estimate, scale=scale, squared_scale=square)
        for name, count, estimate, scale, square in zip(*columns, strict=True)
    )
    drawn = zip(sums.drawn, sums.drawn_groups, sums.drawn_estimate, sums.drawn_scale, strict=True)
    sample = [
        Drawn(groups=(sums.names[group],), estimate=e, scale=s, influence=float(influence[position]))
        for position, (group,), e, s in drawn
    ][:samples]
    threshold = float(sums.priority[samples])
    found = {each.name: each.influence for each in estimate_groups(totals, whole, sample, threshold)[:-1]}
    shrinkage = shrink(sample_distribution(sample, threshold))
    assert shrinkage is not None
    told, of_all = sum_signals(totals, whole, sample, threshold, shrinkage)
    intervals = {name: interval(told[name], of_all) for name in names}
    return np.array(
        [
            [found[name] for name in names],
            [told[name].signal for name in names],
            [np.sqrt(told[name].variance) for name in names],
            [intervals[name].low for name in names],
            [np.inf if intervals[name].high is None else intervals[name].high for name in names],
        ],
        float,
    )


def root_mean_square(values: Float64Array) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.square(values).mean()))


def index_estimates(ground: Ground, work: Path) -> tuple[Float64Array, Float64Array]:
    """Return the index's estimate of each influence and its standard error, in nats, float64 [Q, N]."""
    model, factors, corpus = BANKS / ground.name / MODEL, Factors.open(work / "factors"), Corpus.open(work / "corpus")
    [folder] = work.glob("index-*")
    index = Index.open(folder)
    engine = pytorch.create(EngineConfig(model=str(model), factors=factors.folder, device="cpu"))
    asked = tokenize(
        read_queries(BANKS / ground.name / "queries.jsonl"),
        Tokenizer.load(locate_model(str(model), weights=False)),
        corpus,
        max_tokens=engine.info.max_tokens,
        vocabulary_size=engine.info.vocabulary_size,
    )
    plan = with_damping(index.plan(), factors.Lambda, DAMPING)
    sketches = np.stack([fold_gradient(gradient, plan) for gradient in engine.query_gradients(asked)])
    searcher, everything = Searcher(index.shards, index.card.segments), np.arange(corpus.sequences)
    estimates = np.concatenate([searcher.estimate(sketches, shard) for shard in index.shards], axis=1)
    errors = np.stack([searcher.errors(sketch, everything) for sketch in sketches])
    searcher.close()
    engine.close()
    size = factors.card.training_set_size
    return estimates.astype(np.float64) / size, errors.astype(np.float64) / size


if __name__ == "__main__":
    main()
