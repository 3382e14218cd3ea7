"""What a bounded rank costs a batch of queries, and what it saves.

    python tests/benchmarks/low_rank.py [--folder DIR] [--queries 16] [--sequences 1000]

A model of the demo's shape trained on the source of Python's library (tests/benchmarks/realtext.py), its factors, and
queries that are the last 32 tokens of held-out sequences. For each rank: what a query takes in memory; the error of
influences that the engine tells (truncation_error) and the one that they have, both root mean squares relative to that
of the influences; how many of the exact top 20 of each query are in its top 20; and the error with plain singular
values in place of those that Λ weighs. Times are of scoring all sequences, and of preconditioning the queries before.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from measure import print_figures, print_machine
from realtext import TOKENS, prepare

RANKS = (4, 8, 16, 32, 64)
DEFAULT = 32
COMPLETION, TOP = 32, 20


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="keep model and factors here, and use what is there")
    parser.add_argument("--queries", type=int, default=16)
    parser.add_argument("--sequences", type=int, default=1000, help="that are scored")
    parser.add_argument("--batch-tokens", type=int, default=4096)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    print_machine()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        measure(options, folder)


def measure(options: argparse.Namespace, folder: Path) -> None:
    from data import InMemory
    from whence_backends.batching import plan_batches
    from whence_backends.contract import EngineConfig, TokenSequence
    from whence_backends.engines import load_engine
    from whence_backends.fit import FitConfig, fit
    from whence_backends.worker.scoring.query_memory import QueryMemory

    text = prepare(folder, sequences=20_000)
    weights = np.ones(TOKENS, np.float32)
    weights[0] = 0
    asked = np.zeros(TOKENS, np.float32)
    asked[-COMPLETION:] = 1
    corpus = [TokenSequence(token_ids=ids, weights=weights) for ids in text.corpus]
    config = FitConfig(
        model=str(text.model), out=folder / f"factors-tiny-{len(corpus)}", batch_tokens=options.batch_tokens,
        max_sequences=4000, device="cpu",
    )  # fmt: skip
    factors = fit(config, InMemory(corpus))
    engine: Any = load_engine("pytorch", EngineConfig(model=str(text.model), factors=factors.folder, device="cpu"))
    gradients = engine.query_gradients(
        [TokenSequence(token_ids=ids, weights=asked) for ids in text.held_out[: options.queries]]
    )
    items = corpus[: options.sequences]

    def score(prepared: Any) -> np.ndarray:
        found = np.zeros((len(gradients), len(items)))
        for batch in plan_batches([TOKENS] * len(items), options.batch_tokens):
            found[:, batch] = engine.score(prepared, [items[index] for index in batch])
        return found

    memory = QueryMemory(engine, limit_bytes=0)
    whole, precondition_s = timed(lambda: engine.precondition(gradients, 0.1))
    exact, score_s = timed(lambda: score(whole))
    titles = ("told", "true", "plain", f"top {TOP}", "s")
    print(f"{'rank':>5} {'KB a query':>11} {' '.join(f'{title:>7}' for title in titles)} {'s before':>9}", flush=True)
    print(f"whole {memory.bytes_per_query() / 1e3:>11.0f} {'':31} {score_s:7.1f} {precondition_s:9.2f}")
    figures: dict[str, float] = {}
    for rank in RANKS:
        (prepared, told), before_s = timed(lambda rank=rank: engine.precondition_low_rank(gradients, 0.1, rank))
        found, seconds = timed(lambda prepared=prepared: score(prepared))
        plain = score(plainly_truncated(engine, whole, rank))
        row = {
            "told": float(told.mean()),
            "true": error(found, exact),
            "plain": error(plain, exact),
            "recall": overlap(found, exact),
        }
        print(
            f"{rank:>5} {memory.bytes_per_query(rank) / 1e3:>11.0f} {row['told']:7.3f} {row['true']:7.3f} "
            f"{row['plain']:7.3f} {row['recall']:7.3f} {seconds:7.1f} {before_s:9.2f}"
        )
        if rank == DEFAULT:
            figures = {
                "rank": rank,
                "told_error": row["told"],
                "true_error": row["true"],
                "plain_svd_error": row["plain"],
                f"top{TOP}": row["recall"],
                "memory_ratio": memory.bytes_per_query(rank) / memory.bytes_per_query(),
                "time_ratio": seconds / score_s,
            }
    print_figures(**figures)


def plainly_truncated(engine: Any, whole: Any, rank: int) -> Any:
    """Return V truncated by its own singular values."""
    import torch

    layers = []
    for V in whole.layers:
        U, sigma, Vh = torch.linalg.svd(V, full_matrices=False)
        layers.append((U[..., :rank] * sigma[:, None, :rank]) @ Vh[:, :rank])
    return type(whole)(queries=whole.queries, layers=layers)


def error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.mean(np.sqrt(np.square(found - exact).mean(axis=1) / np.square(exact).mean(axis=1))))


def overlap(found: np.ndarray, exact: np.ndarray) -> float:
    pairs = zip(np.argsort(-found, axis=1)[:, :TOP], np.argsort(-exact, axis=1)[:, :TOP], strict=True)
    return float(np.mean([len(set(a.tolist()) & set(b.tolist())) / TOP for a, b in pairs]))


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    return work(), time.perf_counter() - started


if __name__ == "__main__":
    main()
