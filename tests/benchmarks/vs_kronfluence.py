"""Whence against kronfluence: the same model, data, precision and batches, in one run.

    python tests/benchmarks/vs_kronfluence.py [--precision bfloat16] [--width 512 --depth 6 --vocabulary 32000]

Times the covariance pass, the corrected eigenvalues and the pairwise scan with 1, 16 and 64 queries, and compares the
scores of a fit on the data's own labels. Speedups are kronfluence's time over ours; memory_ratio is our peak over
kronfluence's, the larger of fit and scan, in memory that was not resident before.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from measure import Measured, print_figures, print_machine
from transformers import AutoModelForCausalLM
from workload import random_llama, random_tokens

from data import InMemory
from kronfluence_oracle import Kronfluence
from whence_backends.contract import Engine, EngineConfig, TokenSequence
from whence_backends.engines import load_engine
from whence_backends.fit import FitConfig, FitProgress, fit

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}
QUERIES = (1, 16, 64)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=DTYPES, default="float32")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=32000)
    parser.add_argument("--sequences", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3, help="each timing is the best of so many")
    return parser.parse_args()


def make_model(options: argparse.Namespace, folder: Path) -> Path:
    shape = {"width": options.width, "depth": options.depth, "vocabulary": options.vocabulary}
    return random_llama(folder, **shape, tokens=options.tokens)


def make_data(options: argparse.Namespace) -> list[TokenSequence]:
    tokens = random_tokens(sequences=options.sequences, tokens=options.tokens, vocabulary=options.vocabulary)
    weights = np.ones(options.tokens, np.float32)
    weights[0] = 0
    return [TokenSequence(token_ids=ids, weights=weights) for ids in tokens]


def our_fit(
    model: Path, out: Path, items: list[TokenSequence], options: argparse.Namespace, labels: str
) -> dict[str, float]:
    """Fit, and return the seconds each stage took. A stage ends when its last progress is reported."""
    ends: dict[str, float] = {}
    started: dict[str, float] = {}

    def progress(at: FitProgress) -> None:
        started.setdefault(at.stage, time.perf_counter())
        ends[at.stage] = time.perf_counter()

    config = FitConfig(
        model=str(model), out=out, precision=options.precision, labels=labels,
        batch_tokens=options.batch * options.tokens,
    )  # fmt: skip
    fit(config, InMemory(items), progress)
    return {stage: ends[stage] - started[stage] for stage in ends}


def our_scan(engine: Engine, queries: list[TokenSequence], items: list[TokenSequence], batch: int) -> np.ndarray:
    prepared = engine.precondition(engine.query_gradients(queries), 0.1)
    return np.concatenate(
        [engine.score(prepared, items[start : start + batch]) for start in range(0, len(items), batch)], axis=1
    )


def timed(run: Callable[[], object]) -> Measured:
    with Measured() as measured:
        run()
    return measured


def their_analysis(
    model: Path,
    folder: Path,
    options: argparse.Namespace,
    layers: list[str],
    *data: list[TokenSequence],
    empirical: bool,
) -> Kronfluence:
    dtype = DTYPES[options.precision]
    train, queries = data
    return Kronfluence(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=dtype).eval(), layers=layers, train=train,
        queries=queries, folder=folder, empirical=empirical, dtype=dtype, batch_size=options.batch,
    )  # fmt: skip


def compare_fits(
    options: argparse.Namespace, model: Path, folder: Path, items: list[TokenSequence]
) -> tuple[dict[str, float], dict[str, float], float, float, list[str]]:
    """Return our and their seconds by stage (the best of the repeats), both peaks, and the tracked layers."""
    ours: dict[str, float] = {}
    theirs: dict[str, float] = {}
    our_peak = their_peak = 0.0
    for repeat in range(options.repeats):
        with Measured() as measured:
            stages = our_fit(model, folder / f"ours-{repeat}", items, options, "sampled")
        our_peak = max(our_peak, measured.peak_bytes)
        engine = load_engine("pytorch", EngineConfig(model=str(model), factors=folder / f"ours-{repeat}"))
        layers = [layer.name for layer in engine.info.layers]
        engine.close()
        analysis = their_analysis(model, folder / "theirs", options, layers, items, items[:1], empirical=False)
        steps = {
            "covariance": analysis.covariance,
            "eigenbasis": analysis.eigendecomposition,
            "lambda": analysis.corrected_eigenvalues,
        }
        for stage, step in steps.items():
            measured = timed(step)
            their_peak = max(their_peak, measured.peak_bytes)
            theirs[stage] = min(measured.seconds, theirs.get(stage, np.inf))
            ours[stage] = min(stages[stage], ours.get(stage, np.inf))
    return ours, theirs, our_peak, their_peak, layers


def compare_scans(
    options: argparse.Namespace, model: Path, folder: Path, items: list[TokenSequence], layers: list[str]
) -> tuple[dict[str, float], float, float, float]:
    """Return the scan speedups, both peaks, and the largest relative difference of scores, on empirical labels."""
    our_fit(model, folder / "empirical", items, options, "empirical")
    config = EngineConfig(model=str(model), factors=folder / "empirical", precision=options.precision)
    engine = load_engine("pytorch", config)
    speedups: dict[str, float] = {}
    our_peak = their_peak = worst = 0.0
    for count in QUERIES:
        queries = items[:count]
        analysis = their_analysis(model, folder / "theirs-empirical", options, layers, items, queries, empirical=True)
        if count == QUERIES[0]:
            analysis.fit()
        ours, theirs = np.inf, np.inf
        for _ in range(options.repeats):
            with Measured() as measured:
                got = our_scan(engine, queries, items, options.batch)
            ours, our_peak = min(ours, measured.seconds), max(our_peak, measured.peak_bytes)
            with Measured() as measured:
                want = analysis.scores()["all_modules"]
            theirs, their_peak = min(theirs, measured.seconds), max(their_peak, measured.peak_bytes)
        worst = max(worst, float(np.abs(got - want).max() / np.abs(want).max()))
        speedups[f"scan_speedup_q{count}"] = theirs / ours
        print(f"scan q={count:<5} ours {ours:8.2f} s   kronfluence {theirs:8.2f} s")
    return speedups, our_peak, their_peak, worst


def main() -> None:
    options = arguments()
    print_machine()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model, items = make_model(options, folder / "model"), make_data(options)
        print(f"# Llama-shaped: width {options.width}, {options.depth} layers, {options.vocabulary} words; MLP tracked")
        print(
            f"# {options.sequences} sequences x {options.tokens} tokens, {options.batch} a batch, {options.precision}"
        )
        ours, theirs, our_fit_peak, their_fit_peak, layers = compare_fits(options, model, folder, items)
        for stage in ours:
            print(f"{stage:12} ours {ours[stage]:8.2f} s   kronfluence {theirs[stage]:8.2f} s")
        speedups, our_scan_peak, their_scan_peak, worst = compare_scans(options, model, folder, items, layers)
    our_peak, their_peak = max(our_fit_peak, our_scan_peak), max(their_fit_peak, their_scan_peak)
    print(f"peak memory  ours {our_peak / 2**20:8.0f} MiB kronfluence {their_peak / 2**20:8.0f} MiB")
    print_figures(
        cov_speedup=theirs["covariance"] / ours["covariance"],
        lambda_speedup=theirs["lambda"] / ours["lambda"],
        fit_speedup=sum(theirs.values()) / sum(ours.values()),
        **speedups,
        memory_ratio=our_peak / max(their_peak, 1),
        max_rel_err=worst,
    )


if __name__ == "__main__":
    main()
