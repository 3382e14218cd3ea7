"""Sums of influence over groups: how far estimates and samples are from the exact sums, and what they say of it.

    python tests/benchmarks/groups.py [--folder DIR] [--sequences 4000] [--queries 16]

A model of the demo's shape trained on the source of Python's library (tests/benchmarks/realtext.py), the index of the
first sequences at its default settings, and the exact influence of all of them. Groups are sixteen runs of neighbouring
sequences of unequal length; queries are the last 32 tokens of held-out sequences. For each size of the sample, over
queries and draws: the root mean square error of a group's sum, relative to that of the exact sums; the same for the
index's estimates alone, with the best factor that there is; for a simple random sample of the same size without the
index; and how many sums are within two standard errors, and within one, of the truth (95 % and 68 % would be right).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from measure import print_figures, print_machine
from realtext import TOKENS, make_artefacts, prepare

SAMPLES = (100, 400, 1600)
DEFAULT = 400
DRAWS, GROUPS, COMPLETION = 20, 16, 32


@dataclass(frozen=True, kw_only=True)
class Query:
    """Of every sequence the exact influence, the index's estimate and its standard error, [N] each."""

    exact: np.ndarray
    estimates: np.ndarray
    errors: np.ndarray


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="keep the model here, and use what is there")
    parser.add_argument("--sequences", type=int, default=4000)
    parser.add_argument("--queries", type=int, default=16)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    print_machine()
    with tempfile.TemporaryDirectory() as temporary:
        queries = score(options, Path(temporary))
    cuts = np.sort(np.random.default_rng(0).choice(np.arange(1, options.sequences), GROUPS - 1, replace=False))
    labels = np.searchsorted(cuts, np.arange(options.sequences), side="right").astype(np.int32)
    print(f"{'samples':>8} {'sampled':>8} {'index alone':>12} {'no index':>9} {'within 2':>9} {'within 1':>9}")
    figures = {}
    for samples in SAMPLES:
        rows = np.array([row for query in queries for row in compare(query, labels, samples)])  # [.., 6]
        scale = np.sqrt(np.square(rows[:, 0]).mean())
        ours, alone, plain = (np.sqrt(np.square(rows[:, c] - rows[:, 0]).mean()) / scale for c in (1, 3, 4))
        off = np.abs(rows[:, 1] - rows[:, 0]) - 1e-9 * scale  # a group that was sampled whole is exact
        within = [(off <= errors * rows[:, 2]).mean() for errors in (2, 1)]
        print(f"{samples:>8} {ours:8.3f} {alone:12.3f} {plain:9.3f} {within[0]:9.3f} {within[1]:9.3f}")
        if samples == DEFAULT:
            figures = {
                "samples": samples,
                "sequences": options.sequences,
                "relative_error": ours,
                "index_alone_error": alone,
                "no_index_error": plain,
                "within_two_errors": within[0],
            }
    print_figures(**figures)


def score(options: argparse.Namespace, folder: Path) -> list[Query]:
    from whence_backends.batching import plan_batches
    from whence_backends.contract import EngineConfig, TokenSequence
    from whence_backends.corpus import Corpus
    from whence_backends.engines import load_engine
    from whence_backends.index import Index
    from whence_backends.index.search import Searcher
    from whence_backends.index.sketch import fold_gradient

    text = prepare(options.folder or folder / "text", sequences=20_000)
    artefacts = make_artefacts(text, folder, options.sequences)
    engine: Any = load_engine("pytorch", EngineConfig(model=str(text.model), factors=artefacts.factors, device="cpu"))
    corpus, index = Corpus.open(artefacts.corpus), Index.open(artefacts.index)
    asked = np.zeros(TOKENS, np.float32)
    asked[-COMPLETION:] = 1
    gradients = engine.query_gradients(
        [TokenSequence(token_ids=ids, weights=asked) for ids in text.held_out[: options.queries]]
    )
    prepared, exact = engine.precondition(gradients, 0.1), np.zeros((options.queries, corpus.sequences))
    for batch in plan_batches(corpus.all_lengths(), 4096):
        exact[:, batch] = engine.score(prepared, corpus.tokens_at(batch.tolist()))
    searcher, plan = Searcher(index.shards, index.card.segments), index.plan()
    sketches = np.stack([fold_gradient(gradient, plan) for gradient in gradients])
    estimates = np.concatenate([searcher.estimate(sketches, name) for name in index.shards], axis=1)
    everything = np.arange(corpus.sequences)
    return [
        Query(
            exact=exact[q],
            estimates=estimates[q].astype(np.float64),
            errors=searcher.errors(sketches[q], everything).astype(np.float64),
        )
        for q in range(options.queries)
    ]


def compare(query: Query, labels: np.ndarray, samples: int) -> Iterator[tuple[float, ...]]:
    """Yield of each group and draw: truth, sum and standard error; the index alone; a sample alone."""
    from whence_backends.worker.searching.group_sums import RowEstimates, sum_groups
    from whence_service.frontend.calls.group_estimates import Drawn, GroupTotals, estimate_groups

    count = len(labels)
    names = tuple(f"{group:02}" for group in range(GROUPS))
    truth = np.bincount(labels, query.exact, GROUPS)
    estimated = np.bincount(labels, query.estimates, GROUPS)
    estimated *= (estimated @ truth) / (estimated @ estimated)
    rows = RowEstimates(positions=np.arange(count), groups=labels, estimates=query.estimates, errors=query.errors)
    for seed in range(DRAWS):
        sums = sum_groups(tuple((name,) for name in names), [rows], samples, seed)
        columns = ((*sums.names, ""), sums.sequences, sums.estimate, sums.scale, sums.squared_scale)
        *totals, whole = (
            GroupTotals(name=name, sequences=int(n), estimate=e, scale=s, squared_scale=q)
            for name, n, e, s, q in zip(*columns, strict=True)
        )
        drawn = zip(sums.drawn, sums.drawn_groups, sums.drawn_estimate, sums.drawn_scale, strict=True)
        sample = [
            Drawn(groups=(sums.names[group],), estimate=e, scale=s, influence=float(query.exact[position]))
            for position, (group,), e, s in drawn
        ][:samples]
        answer = estimate_groups(totals, whole, sample, float(sums.priority[samples]))
        found = {each.name: each for each in answer[:-1]}
        chosen = np.random.default_rng(seed).choice(count, samples, replace=False)
        plain = np.bincount(labels[chosen], query.exact[chosen], GROUPS) * count / samples
        for group, name in enumerate(names):
            ours = found[name]
            yield truth[group], ours.influence, ours.standard_error, estimated[group], plain[group]


if __name__ == "__main__":
    main()
