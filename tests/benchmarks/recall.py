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
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from measure import print_figures, print_machine
from realtext import HELD_OUT, TOKENS, prepare

WIDTHS = (3584, 7680, 15872, 31744)
DEFAULT = (0.5, 15872)
# Shares of the coordinates that are kept, by width.
SETTINGS = [
    (kept, width) for width in WIDTHS for kept in ((0.05, 0.1, 0.25, 0.5, 1.0) if width == 15872 else (0.1, 0.5, 1.0))
]
SHARES = (0.005, 0.01, 0.02, 0.05)  # of the corpus that are candidates
DEPTHS = (10, 100)
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


@dataclass(kw_only=True)
class Scores:
    """What the pass gave: exact influences [Q, N], sketches of queries and sequences by setting, baselines' scores."""

    exact: np.ndarray
    queries: dict[tuple[float, int], np.ndarray] = field(default_factory=dict)
    sequences: dict[tuple[float, int], np.ndarray] = field(default_factory=dict)
    segments: dict[tuple[float, int], Any] = field(default_factory=dict)
    baselines: dict[str, np.ndarray] = field(default_factory=dict)


def main() -> None:
    options = arguments()
    print_machine()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        scores = one_pass(options, folder)
    recalls = evaluate(scores)
    for name, estimates in scores.baselines.items():
        recalls[name] = {
            (depth, share): float(np.mean(found(scores.exact, estimates, depth, share)))
            for depth in DEPTHS
            for share in SHARES
        }
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


class Projections:
    """LoGra and TrackStar at the same storage: two bytes a value, as many values for each layer on both sides."""

    def __init__(self, layers: Sequence[Any], damped: Sequence[Any], *, bytes_per_sequence: int) -> None:
        import torch

        self.torch = torch
        self.side = int((bytes_per_sequence / 2 / len(layers)) ** 0.5)
        generator = torch.Generator().manual_seed(0)
        shapes = [layer.Lambda.shape for layer in layers]
        self.left = [torch.randn(o, self.side, generator=generator) for o, _ in shapes]
        self.right = [torch.randn(i, self.side, generator=generator) for _, i in shapes]
        self.shapes = shapes
        self.moments: list[Any] = [None] * len(layers)
        self.kinds = ("LoGra, random", "LoGra, PCA", "TrackStar")
        self.asked: dict[str, list[Any]] = {kind: [None] * len(layers) for kind in self.kinds}
        self.stored: dict[str, list[np.ndarray]] = {}

    def observe(self, index: int, G: Any) -> None:
        """Take the second moments of gradients, of rank one as Adafactor keeps them."""
        squares = G.square().mean(0)
        by_row, by_column = squares.mean(1), squares.mean(0)
        self.moments[index] = (by_row[:, None] * by_column[None] / by_row.mean()).clamp_min(1e-20).sqrt()

    def project(self, index: int, rotated_G: Any, G: Any) -> dict[str, Any]:
        (D_out, D_in), side = self.shapes[index], self.side
        square = rotated_G.view(-1, D_out, D_in)
        left, right = self.left[index].T, self.right[index]
        return {
            "LoGra, random": (left @ square @ right).flatten(1),  # rotated or not, the projection is as random
            "LoGra, PCA": square[:, D_out - side :, D_in - side :].flatten(1),
            "TrackStar": (left @ (G / self.moments[index]) @ right).flatten(1),
        }

    def query(self, index: int, rotated_G: Any, G: Any) -> None:
        for kind, values in self.project(index, rotated_G, G).items():
            self.asked[kind][index] = values.numpy().copy()

    def begin(self, queries: int, sequences: int) -> None:
        size = self.side**2
        self.stored = {kind: [np.zeros((sequences, size), np.float32) for _ in self.shapes] for kind in self.kinds}

    def sequence(self, index: int, batch: Any, rotated_G: Any, G: Any) -> None:
        for kind, values in self.project(index, rotated_G, G).items():
            self.stored[kind][index][batch] = values.numpy()

    def scores(self) -> dict[str, np.ndarray]:
        found = {}
        for kind in ("LoGra, random", "LoGra, PCA"):
            found[kind] = sum(
                asked @ np.linalg.solve(damped_gram(stored), half(stored).T)
                for asked, stored in zip(self.asked[kind], self.stored[kind], strict=True)
            )
        asked, stored = (np.concatenate(parts["TrackStar"], axis=1) for parts in (self.asked, self.stored))
        values, vectors = np.linalg.eigh(damped_gram(stored))
        root = (vectors / np.sqrt(values)) @ vectors.T
        asked, stored = unit(asked @ root), half(unit(stored @ root))
        found["TrackStar"] = asked @ stored.T
        return found


def damped_gram(values: np.ndarray) -> np.ndarray:
    gram = values.T.astype(np.float64) @ values / len(values)
    return gram + 0.1 * np.trace(gram) / len(gram) * np.eye(len(gram))


def half(values: np.ndarray) -> np.ndarray:
    """What sixteen bits keep; scaled, so that nothing overflows."""
    scale = np.abs(values).max() or 1.0
    return (values / scale).astype(np.float16).astype(np.float64) * scale


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def bm25(texts: Sequence[str], asked: Sequence[str]) -> np.ndarray:
    import bm25s

    index = bm25s.BM25()
    index.index(bm25s.tokenize(list(texts), show_progress=False), show_progress=False)
    tokens = bm25s.tokenize(list(asked), return_ids=False, show_progress=False)
    return np.stack([index.get_scores(words) for words in tokens])


def smollm2_tokens(texts: Sequence[str], count: int) -> np.ndarray:
    from whence_backends.models import Tokenizer, resolve_model

    tokenizer = Tokenizer.load(resolve_model("smollm2"))
    ids: list[int] = []
    for text in texts[:: max(1, len(texts) // (2 * count))]:
        ids.extend(tokenizer.encode(text)[0])
    needed = (count + HELD_OUT) * TOKENS
    assert len(ids) >= needed, f"{len(ids)} tokens for {needed}"
    return np.array(ids[:needed], np.int32).reshape(-1, TOKENS)


def found(exact: np.ndarray, estimates: np.ndarray, depth: int, share: float) -> list[float]:
    """Return for each query which share of the exact top ``depth`` is among the candidates."""
    count = max(1, round(share * exact.shape[1]))
    found = []
    for truth, guess in zip(exact, estimates, strict=True):
        top = set(np.argsort(-truth, kind="stable")[:depth].tolist())
        found.append(len(top & set(np.argsort(-guess, kind="stable")[:count].tolist())) / depth)
    return found


def searched(scores: Scores, setting: tuple[float, int], bits: int) -> tuple[np.ndarray, Any]:
    """Return the index's estimates [Q, N], and a function to the standard errors of a query's at some positions."""
    from whence_backends.index.codes import encode
    from whence_backends.index.search import Searcher
    from whence_backends.index.storage import IndexedShard, ShardRows

    segments = scores.segments[setting]
    codes, scales = encode(scores.sequences[setting].astype(np.float32), segments, bits)
    info = IndexedShard(name="s", first_position=0, sequences=len(codes))
    rows = ShardRows(info=info, codes=codes, scales=scales, self_influence=scales[:, 0])
    searcher = Searcher({"s": rows}, segments)
    sketches = scores.queries[setting]
    return searcher.estimate(sketches, "s"), lambda query, positions: searcher.errors(sketches[query], positions)


def evaluate(scores: Scores) -> dict[str, dict[tuple[int, float], float]]:
    recalls = {}
    for setting in scores.sequences:
        for bits in (1, 8, 16):
            estimates, _ = searched(scores, setting, bits)
            recalls[f"{bits} bit, {setting[1]} values, {setting[0]:.0%} kept"] = {
                (depth, share): float(np.mean(found(scores.exact, estimates, depth, share)))
                for depth in DEPTHS
                for share in SHARES
            }
    return recalls


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """One query's recall, predicted and true."""

    setting: tuple[float, int]
    depth: int
    share: float
    predicted: float
    true: float


def calibrate(scores: Scores) -> list[Predicted]:
    from whence_service.frontend.recall import Pair, estimate_recall

    results = []
    for setting in scores.sequences:
        estimates, errors_of = searched(scores, setting, 1)
        for depth in DEPTHS:
            for share in SHARES:
                count = round(share * scores.exact.shape[1])
                if count < depth:
                    continue
                truths = found(scores.exact, estimates, depth, share)
                for query, true in enumerate(truths):
                    order = np.argsort(-estimates[query], kind="stable")[:count]
                    known = zip(
                        estimates[query, order].tolist(),
                        errors_of(query, order).tolist(),
                        scores.exact[query, order].tolist(),
                        strict=True,
                    )
                    pairs = [Pair(estimate=e, error=error, influence=x) for e, error, x in known]
                    recall = estimate_recall(pairs, cut=pairs[-1].estimate, k=depth)
                    results.append(
                        Predicted(setting=setting, depth=depth, share=share, predicted=recall.recall, true=true)
                    )
    return results


def binned(calibration: Sequence[Predicted]) -> list[tuple[float, float, int]]:
    """Return mean prediction, mean truth and count for each tenth of the predictions."""
    predicted = np.array([one.predicted for one in calibration])
    true = np.array([one.true for one in calibration])
    bins = np.minimum((predicted * 10).astype(int), 9)
    return [
        (float(predicted[bins == number].mean()), float(true[bins == number].mean()), int((bins == number).sum()))
        for number in range(10)
        if (bins == number).any()
    ]


def calibration_error(calibration: Sequence[Predicted]) -> float:
    bins = binned(calibration)
    return sum(abs(predicted - true) * count for predicted, true, count in bins) / sum(count for *_, count in bins)


def show(recalls: dict[str, dict[tuple[int, float], float]]) -> None:
    columns = [(depth, share) for depth in DEPTHS for share in SHARES]
    print(f"{'':36}" + " ".join(f"{depth}@{share:.1%}".rjust(9) for depth, share in columns))
    for name, values in recalls.items():
        print(f"{name:36}" + " ".join(f"{values[column]:9.3f}" for column in columns))


def plot(options: argparse.Namespace, recalls: Any, calibration: Sequence[Predicted]) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "whence"
    from matplotlib import pyplot as plt

    options.plots.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(1, 3, figsize=(13, 4))
    for axis, depth in zip(axes, DEPTHS, strict=False):
        for bits in (1, 8, 16):
            for kept in (0.1, 0.5, 1.0):
                names = {width: f"{bits} bit, {width} values, {kept:.0%} kept" for width in WIDTHS}
                held = [(w * bits / 8, recalls[name][depth, 0.02]) for w, name in names.items() if name in recalls]
                axis.plot(*zip(*held, strict=True), marker="o", label=f"{bits} bit, {kept:.0%} kept")
        for name in ("LoGra, random", "LoGra, PCA", "TrackStar", "BM25"):
            if name in recalls:
                axis.axhline(recalls[name][depth, 0.02], linestyle=":", linewidth=1, color="gray")
                axis.text(500, recalls[name][depth, 0.02], name, fontsize=7, va="bottom")
        axis.set(xscale="log", xlabel="bytes a sequence", ylabel=f"recall@{depth}, candidates 2 %", ylim=(0, 1.02))
    axes[0].legend(fontsize=7)
    bins = binned(calibration)
    axes[2].plot([0, 1], [0, 1], color="gray", linewidth=1)
    axes[2].scatter([b[0] for b in bins], [b[1] for b in bins], s=[10 + b[2] / 5 for b in bins])
    axes[2].set(xlabel="predicted recall", ylabel="true recall", xlim=(0, 1.02), ylim=(0, 1.02))
    figure.tight_layout()
    figure.savefig(options.plots / f"recall-{options.model}.svg", metadata={"Date": None})
    table = {name: {f"{d}@{s}": v for (d, s), v in values.items()} for name, values in recalls.items()}
    (options.plots / f"recall-{options.model}.json").write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
