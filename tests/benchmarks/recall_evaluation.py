"""From the scores of a pass to figures: recall of every setting and baseline, calibration, table and plots."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

WIDTHS = (3584, 7680, 15872, 31744)
SHARES = (0.005, 0.01, 0.02, 0.05)  # of the corpus that are candidates
DEPTHS = (10, 100)


@dataclass(kw_only=True)
class Scores:
    """What the pass gave: exact influences [Q, N], sketches of queries and sequences by setting, baselines' scores."""

    exact: np.ndarray
    queries: dict[tuple[float, int], np.ndarray] = field(default_factory=dict)
    sequences: dict[tuple[float, int], np.ndarray] = field(default_factory=dict)
    segments: dict[tuple[float, int], Any] = field(default_factory=dict)
    baselines: dict[str, np.ndarray] = field(default_factory=dict)


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
    """Return the mean recall of every setting and baseline, by depth and share."""
    recalls = {}
    for setting in scores.sequences:
        for bits in (1, 8, 16):
            estimates, _ = searched(scores, setting, bits)
            recalls[f"{bits} bit, {setting[1]} values, {setting[0]:.0%} kept"] = mean_recalls(scores, estimates)
    return recalls | {name: mean_recalls(scores, estimates) for name, estimates in scores.baselines.items()}


def mean_recalls(scores: Scores, estimates: np.ndarray) -> dict[tuple[int, float], float]:
    return {
        (depth, share): float(np.mean(found(scores.exact, estimates, depth, share)))
        for depth in DEPTHS
        for share in SHARES
    }


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
