"""How near does the noise that candidates and a sample tell come to that of a full scan?

On each bank of retrained models the candidates of every query are taken from its index, or by BM25, the sample is drawn
with several seeds, and the code that serves says what is signal. Printed are, for the first ten hits, how far scale,
significance and signal are from those of the full scan; what was scored beside the candidates; and, of all candidates
of a significance, how many have the right sign in what retraining measures, beside the full scan's. "As weights" is the
way that was not taken: candidates once, sampled sequences for all others, and the fit of a full scan.

Then made-up noise, where nothing is to be told: the share of queries that are told something, by a full scan and by
candidates, and what is told of signals that are there.

Run: `python tests/benchmarks/candidate_noise.py [--bank python] [--work FOLDER]`
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from truth import BANKS, Ground, read

from whence_backends.contract import EngineConfig, Float64Array
from whence_backends.corpus import Corpus
from whence_backends.ekfac.factors import Factors
from whence_backends.engines import pytorch
from whence_backends.index import Index
from whence_backends.index.search import Searcher
from whence_backends.index.sketch import fold_gradient, with_damping
from whence_backends.models.source import locate_model
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.validation.proxy_bank import MODEL
from whence_backends.validation.queries import read_queries, tokenize
from whence_backends.validation.statistics.effects import in_out
from whence_service.frontend.search.candidates import Candidate, Candidates
from whence_service.frontend.search.sampled import sampled_influences
from whence_service.shrinkage.distribution import Distribution
from whence_service.shrinkage.partial import SampledInfluences
from whence_service.shrinkage.shrinkage import Shrinkage, shrink

TOP: Final = 10
SEEDS: Final = 3
CLAIMS: Final = (0.6, 0.75, 0.9, 0.95, 1.01)
# Candidates, sequences drawn, and those of the other direction.
SETTINGS: Final = ((100, 64, 64), (100, 32, 32), (100, 128, 128), (200, 64, 64), (50, 64, 64))
MADE_UP: Final = ((4000, 3.0, 40), (4000, np.inf, 40), (50_000, 3.0, 20), (50_000, 2.0, 20), (50_000, np.inf, 20))


@dataclass(frozen=True, kw_only=True, eq=False)
class Searched:
    """Influences, estimates and the errors of these, float64 [Q, N]; scores by tokens have the error 0."""

    influence: Float64Array
    estimates: Float64Array
    errors: Float64Array

    def of(self, query: int, count: int, drawn: int, opposite: int, seed: int) -> SampledInfluences | None:
        """Return what is known of a query's influences after one search."""
        order = np.argsort(-self.estimates[query], kind="stable")
        sample = np.random.default_rng([seed, query]).choice(len(order), drawn, replace=False)
        by_index = bool(self.errors.any())
        return sampled_influences(
            dict(enumerate(self.influence[query].tolist())),
            Candidates(positive=self._candidates(query, order[:count])),
            self._candidates(query, order[::-1][:opposite]) if by_index else (),
            sample.tolist(),
            len(order),
            estimates=by_index,
        )

    def candidates(self, query: int, count: int) -> NDArray[np.int64]:
        """Return the positions of the candidates, the most influential first."""
        chosen = np.argsort(-self.estimates[query], kind="stable")[:count]
        ordered: NDArray[np.int64] = chosen[np.argsort(-self.influence[query][chosen], kind="stable")]
        return ordered

    def _candidates(self, query: int, positions: NDArray[np.int64]) -> tuple[Candidate, ...]:
        columns = (positions, self.estimates[query][positions], self.errors[query][positions])
        return tuple(
            Candidate(position=int(position), estimate=float(estimate), error=float(error))
            for position, estimate, error in zip(*columns, strict=True)
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", action="append", choices=["demo", "python"])
    parser.add_argument("--made-up", action="store_true", help="Print the table of made-up noise alone.")
    parser.add_argument("--work", type=Path, help="Keep factors and indexes here, for another run.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in () if arguments.made_up else arguments.bank or ("python", "demo"):
            work = (arguments.work or Path(folder)) / name
            ground = read(name, work, all_linear=False)
            report(ground, *searches(name, work, ground))
    print_made_up()


def searches(name: str, work: Path, ground: Ground) -> tuple[Searched, Searched]:
    """Return the searches of a bank's index, and by BM25."""
    folder, corpus, factors = BANKS / name, Corpus.open(work / "corpus"), Factors.open(work / "factors")
    index = Index.open(next(work.glob("index-*")))
    engine = pytorch.create(
        EngineConfig(model=str(folder / MODEL), factors=factors.folder, device="cpu", precision=factors.card.precision)
    )
    tokens = tokenize(
        read_queries(folder / "queries.jsonl"),
        Tokenizer.load(locate_model(str(folder / MODEL), weights=False)),
        corpus,
        max_tokens=engine.info.max_tokens,
        vocabulary_size=engine.info.vocabulary_size,
    )
    plan = with_damping(index.plan(), factors.Lambda, 0.1)
    sketches = [fold_gradient(gradient, plan) for gradient in engine.query_gradients(tokens)]
    searcher, everywhere = Searcher(index.shards, index.card.segments), np.arange(corpus.sequences)
    errors = np.stack([searcher.errors(sketch, everywhere) for sketch in sketches]) / factors.card.training_set_size
    searcher.close()
    engine.close()
    influence, scores = ground.scores.influence, ground.scores
    assert scores.index is not None
    return (
        Searched(influence=influence, estimates=scores.index, errors=errors.astype(np.float64)),
        Searched(influence=influence, estimates=scores.bm25, errors=np.zeros_like(influence)),
    )


def report(ground: Ground, by_index: Searched, by_tokens: Searched) -> None:
    """Print the tables of a bank."""
    effect = in_out(ground.halves.members, ground.halves.queries).values
    whole = [shrinkage_of(row.tolist()) for row in ground.scores.influence]
    print(
        f"\n{'candidates, drawn, opposite':44} {'beside':>7} {'scale':>13} {'significance':>15} {'signal':>7} "
        f"{'told':>11}   hits and right signs at a significance from {', '.join(map(str, CLAIMS[:-1]))}"
    )
    for search, name, settings in ((by_index, "index", SETTINGS), (by_tokens, "BM25", [(100, 64, 0), (200, 64, 0)])):
        for setting in settings:
            for way in (as_served, as_weights):
                label = f"{name} {', '.join(map(str, setting))}{'' if way is as_served else ' as weights'}"
                print(f"{label:44} {row_of(search, whole, effect, setting, way)}")
        print(
            f"{'full scan, of the first setting':44} {claims_of(whole_claims(search, whole, effect, settings[0]), 1)}"
        )


def as_served(known: SampledInfluences | None) -> Shrinkage | None:
    """Return the shrinkage that answers carry."""
    return None if known is None else known.shrink()


def as_weights(known: SampledInfluences | None) -> Shrinkage | None:
    """Return the shrinkage of candidates and a sample that stands for all others, by the fit of a full scan."""
    return None if known is None else shrink(known.weighted)


def row_of(
    search: Searched,
    whole: Sequence[Shrinkage],
    effect: Float64Array,
    setting: tuple[int, int, int],
    way: Callable[[SampledInfluences | None], Shrinkage | None],
) -> str:
    """Return the figures of a setting: errors are those of the first hits, and "told" is the number of hits."""
    scales, errors, signals, told, claims, beside, unknown = [], [], [], [], [], [], 0
    for query, full in enumerate(whole):
        positions = search.candidates(query, setting[0]).tolist()
        for seed in range(SEEDS):
            known = search.of(query, *setting, seed)
            some = way(known)
            if known is None or some is None:
                unknown += 1
                continue
            beside.append(known.sampled)
            scales.append(np.log(some.scale / full.scale))
            hits = [(search.influence[query, position], effect[query, position]) for position in positions]
            hits = [(value, measured) for value, measured in hits if value > 0]
            errors += [some.significance(value) - full.significance(value) for value, _ in hits[:TOP]]
            signals += [(some.signal(value), full.signal(value)) for value, _ in hits[:TOP]]
            claims += [(some.significance(value), measured > 0) for value, measured in hits]
            told.append([sum(each.significance(value) >= 0.95 for value, _ in hits) for each in (some, full)])
    ours, theirs = np.array(signals).T
    signal_error = np.sqrt(((ours - theirs) ** 2).mean() / (theirs**2).mean())
    counts = " / ".join(f"{value:.2f}" for value in np.mean(told, axis=0))
    return (
        f"{np.mean(beside):7.0f} {f'{np.mean(scales):+.2f} ± {np.std(scales):.2f}':>13} "
        f"{f'{np.mean(errors):+.3f}, {np.sqrt(np.mean(np.square(errors))):.3f}':>15} {signal_error:7.3f} "
        f"{counts:>11}   "
        f"{claims_of(claims, SEEDS)}{f'  unknown: {unknown}' if unknown else ''}"
    )


def whole_claims(
    search: Searched, whole: Sequence[Shrinkage], effect: Float64Array, setting: tuple[int, int, int]
) -> list[tuple[float, bool]]:
    """Return the significance of the same candidates after a full scan, and whether their signs are right."""
    return [
        (full.significance(search.influence[query, position]), bool(effect[query, position] > 0))
        for query, full in enumerate(whole)
        for position in search.candidates(query, setting[0]).tolist()
        if search.influence[query, position] > 0
    ]


def claims_of(claims: Sequence[tuple[float, bool]], repeats: int) -> str:
    """Return the number of hits of each significance, and the share of right signs."""
    significance, right = np.array(claims, float).T
    bins = [(significance >= low) & (significance < high) for low, high in pairwise(CLAIMS)]
    return "  ".join(
        f"{chosen.sum() / repeats:4.0f}: {right[chosen].mean() if chosen.any() else np.nan:.2f}" for chosen in bins
    )


def print_made_up() -> None:
    """Print how often something is told from Student t noise alone, and of 20 signals of some 100 scales."""
    columns = ("any told", "hits told", "of these noise")
    print("\neach: as served, as weights, full scan")
    print(f"{'sequences, degrees of freedom, signals':40}" + "".join(f"{column:>22}" for column in columns))
    for sequences, freedom, repeats in MADE_UP:
        for signals in (0, 20):
            rows = [made_up(sequences, freedom, signals, seed) for seed in range(repeats)]
            figures = []
            for told, wrong in (np.array(each, float).T for each in zip(*rows, strict=True)):
                figures.append(((told > 0).mean(), told.mean(), wrong.sum() / max(1, told.sum())))
            triples = (", ".join(f"{value:.2f}" for value in column) for column in zip(*figures, strict=True))
            print(f"{f'{sequences}, {freedom:g}, {signals}':40}" + "".join(f"{triple:>22}" for triple in triples))


def made_up(sequences: int, freedom: float, signals: int, seed: int) -> list[tuple[int, int]]:
    """Return, of the first 20 hits, how many are told and how many of these are noise: by each way, and by a scan."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=sequences) if np.isinf(freedom) else rng.standard_t(freedom, sequences)
    true = np.zeros(sequences)
    true[rng.choice(sequences, signals, replace=False)] = np.abs(rng.normal(0, 100, signals))
    influence = true + noise
    errors = np.full(sequences, 1.5)
    estimates = 0.7 * influence + rng.normal(0, 1.5, sequences) + 0.2 * influence * rng.normal(size=sequences)
    search = Searched(influence=influence[None], estimates=estimates[None], errors=errors[None])
    hits, known = search.candidates(0, 400)[:20], search.of(0, 400, 64, 64, seed)
    counts = []
    for shrinkage in (as_served(known), as_weights(known), shrinkage_of(influence.tolist())):
        told = [hit for hit in hits if shrinkage is not None and shrinkage.significance(influence[hit]) >= 0.95]
        counts.append((len(told), sum(true[hit] == 0 for hit in told)))
    return counts


def shrinkage_of(influences: Sequence[float]) -> Shrinkage:
    """Return the shrinkage after a full scan."""
    shrinkage = shrink(Distribution.of(influences))
    assert shrinkage is not None
    return shrinkage


if __name__ == "__main__":
    main()
