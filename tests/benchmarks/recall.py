"""What the index finds: recall of the exact top 10 and top 100 after re-ranking, against exact scores of all.

    python tests/benchmarks/recall.py [--model tiny|smollm2] [--folder DIR] [--plots docs/figures]

``tiny`` is a model of the demo's shape trained on the source of Python's library (tests/benchmarks/realtext.py) with
20,000 sequences of 128 tokens; ``smollm2`` the real model on fewer sequences of the same text. Queries are the last 32
tokens of held-out sequences after the 96 before. A sequence counts as found where it is among the candidates, since
these are scored exactly. One pass over the corpus computes the exact influences and every index at once; bits x bytes x
candidates are compared from there, and, at the bytes of the default: random and PCA projections of both sides with the
projected Fisher matrix (LoGra, Choe et al. 2024), a random projection of the normalized gradient with unit norm
(TrackStar, Chang et al. 2024), and BM25 on the texts.

The last line is of the default setting at candidates of 2 % of the corpus. predicted_recall10 is the answer's own
estimate, averaged over queries; calibration_error the mean absolute difference of prediction and truth, in bins of a
tenth, over all settings of one bit.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from measure import print_figures, print_machine
from realtext import HELD_OUT, TOKENS, prepare
from recall_baselines import Projections, bm25
from recall_evaluation import WIDTHS, Scores, calibrate, calibration_error, evaluate, plot, show

DEFAULT = (0.5, 15872)
# Shares of the coordinates that are kept, by width.
SETTINGS = [
    (kept, width) for width in WIDTHS for kept in ((0.05, 0.1, 0.25, 0.5, 1.0) if width == 15872 else (0.1, 0.5, 1.0))
]
COMPLETION = 32


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["tiny", "smollm2"], default="tiny")
    parser.add_argument("--sequences", type=int, help="20000, or 1000 for smollm2")
    parser.add_argument("--queries", type=int, default=24)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--fit-sequences", type=int, help="4000, or 128 for smollm2")
    parser.add_argument("--folder", type=Path, help="keep model, factors and scores here, and use what is there")
    parser.add_argument("--plots", type=Path, help="write the plots into this folder (needs matplotlib)")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    print_machine()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        scores = one_pass(options, folder)
    recalls = evaluate(scores)
    show(recalls)
    calibration = calibrate(scores)
    if options.plots:
        plot(options, recalls, calibration)
    chosen = recalls[f"1 bit, {DEFAULT[1]} values, {DEFAULT[0]:.0%} kept"]
    predicted = [one for one in calibration if one.setting == DEFAULT and (one.depth, one.share) == (10, 0.02)]
    figures = {
        "recall10": chosen[10, 0.02],
        "recall100": chosen[100, 0.02],
        "bytes_per_sequence": DEFAULT[1] // 8 + 4 * len(scores.segments[DEFAULT]) + 4,
        "candidates_share": 0.02,
        "sequences": scores.exact.shape[1],
        "predicted_recall10": float(np.mean([one.predicted for one in predicted])),
        "calibration_error": calibration_error(calibration),
    }
    print_figures(**figures)


def one_pass(options: argparse.Namespace, folder: Path) -> Scores:
    """Score and sketch the whole corpus."""
    import torch

    from data import InMemory
    from whence_backends.batching import plan_batches
    from whence_backends.contract import EngineConfig, TokenSequence
    from whence_backends.ekfac.batch import collate
    from whence_backends.engines import load_engine
    from whence_backends.fit import FitConfig, fit
    from whence_backends.index.plan import make_plan

    real = options.model == "smollm2"
    count = options.sequences or (1000 if real else 20_000)
    text = prepare(folder, sequences=20_000)
    model = "smollm2" if real else str(text.model)
    rows = smollm2_tokens(text.texts + text.held_out_texts, count) if real else text.corpus[:count]
    held = rows[-HELD_OUT:] if real else text.held_out
    rows = rows[:-HELD_OUT] if real else rows
    weights = np.ones(TOKENS, np.float32)
    weights[0] = 0
    asked = np.zeros(TOKENS, np.float32)
    asked[-COMPLETION:] = 1
    corpus = [TokenSequence(token_ids=ids, weights=weights) for ids in rows]
    queries = [TokenSequence(token_ids=ids, weights=asked) for ids in held[: options.queries]]
    factors = fit(
        FitConfig(
            model=model, out=folder / f"factors-{options.model}-{len(corpus)}", batch_tokens=options.batch_tokens,
            max_sequences=options.fit_sequences or (128 if real else 4000), device="cpu",
        ),
        InMemory(corpus),
    )  # fmt: skip
    engine: Any = load_engine("pytorch", EngineConfig(model=model, factors=factors.folder, device="cpu"))
    tracked, layers = engine._model, engine._factors
    damped = [factor.damped(0.1) for factor in layers]
    settings = [setting for setting in SETTINGS if not real or setting[1] == DEFAULT[1]]
    Lambdas = [factors.Lambda(index) for index in range(len(layers))]
    scores = Scores(exact=np.zeros((len(queries), len(corpus))))
    folds: dict[tuple[float, int], Any] = {}
    for kept, width in settings:
        plan, segments = make_plan(
            factors.card.layers, Lambdas, damping_factor=0.1, keep=kept, width=width, groups=4, seed=0
        )
        folds[kept, width] = [prepared(fold, damped[index]) for index, fold in enumerate(plan.folds)]
        scores.segments[kept, width] = segments
        scores.queries[kept, width] = np.zeros((len(queries), width), np.float32)
        scores.sequences[kept, width] = np.zeros((len(corpus), width), np.float16)
    projections = Projections(layers, damped, bytes_per_sequence=DEFAULT[1] // 8 + 20)
    whole: list[Any] = [None] * len(layers)  # the queries' rotated gradients, whitened

    def rotated(batch: Any, consume: Any) -> None:
        def take(index: int, a: Any, s: Any) -> None:
            left, right = s @ layers[index].Q_S, a @ layers[index].Q_A
            consume(index, (left.transpose(1, 2) @ right).flatten(1), s.transpose(1, 2) @ a)

        tracked.trace(batch, tracked.data_targets(batch), take)

    def ask(index: int, rotated_G: Any, G: Any) -> None:
        whole[index] = (rotated_G / damped[index].flatten()).clone()
        projections.query(index, rotated_G, G)
        sketch(scores.queries, slice(None), index, rotated_G)

    def sketch(into: Any, where: Any, index: int, rotated_G: Any) -> None:
        for setting, prepared_folds in folds.items():
            fold = prepared_folds[index]
            gathered = torch.gather(rotated_G, 1, fold.indices.expand(len(rotated_G), -1)) * fold.weights
            into[setting][where, fold.start : fold.stop] += gathered.view(len(rotated_G), *fold.shape).sum(1).numpy()

    sample = collate(corpus[:: max(1, len(corpus) // 256)][:256], tracked.device)
    rotated(sample, lambda index, _, G: projections.observe(index, G))
    rotated(collate(queries, tracked.device), ask)
    projections.begin(len(queries), len(corpus))
    started = time.perf_counter()
    for number, batch in enumerate(plan_batches([TOKENS] * len(corpus), options.batch_tokens)):
        values = {setting: np.zeros((len(batch), setting[1]), np.float32) for setting in folds}

        def score(index: int, rotated_G: Any, G: Any, batch: Any = batch, values: Any = values) -> None:
            scores.exact[:, batch] += (whole[index] @ rotated_G.T).double().numpy()
            projections.sequence(index, batch, rotated_G, G)
            sketch(values, slice(None), index, rotated_G)

        rotated(collate([corpus[i] for i in batch], tracked.device), score)
        for setting, value in values.items():
            scores.sequences[setting][batch] = value
        if number % 50 == 0:
            print(f"# batch {number}, {time.perf_counter() - started:.0f} s", flush=True)
    scores.baselines.update(projections.scores())
    if not real:
        scores.baselines["BM25"] = bm25(text.texts[:count], text.held_out_texts[: options.queries])
    return scores


@dataclass(frozen=True, kw_only=True)
class Fold:
    """A layer's fold as tensors; ``weights`` whiten and give signs."""

    start: int
    stop: int
    shape: tuple[int, int]
    indices: Any
    weights: Any


def prepared(fold: Any, damped: Any) -> Fold:
    import torch

    rows, width = fold.indices.shape
    return Fold(
        start=fold.start,
        stop=fold.start + width,
        shape=(rows, width),
        indices=torch.from_numpy(fold.indices.reshape(1, -1)).long(),
        weights=torch.from_numpy(fold.weights.reshape(-1)),
    )


def smollm2_tokens(texts: Sequence[str], count: int) -> np.ndarray:
    from whence_backends.models import Tokenizer, resolve_model

    tokenizer = Tokenizer.load(resolve_model("smollm2"))
    ids: list[int] = []
    for text in texts[:: max(1, len(texts) // (2 * count))]:
        ids.extend(tokenizer.encode(text)[0])
    needed = (count + HELD_OUT) * TOKENS
    assert len(ids) >= needed, f"{len(ids)} tokens for {needed}"
    return np.array(ids[:needed], np.int32).reshape(-1, TOKENS)


if __name__ == "__main__":
    main()
