"""From the scores of a pass to figures: recall of every setting and baseline, calibration, table and plots."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from whence_backends.index.codes import encode
from whence_backends.index.search import Searcher
from whence_backends.index.storage import IndexedShard, ShardRows
from whence_service.frontend.recall import Pair, estimate_recall

DEPTHS = (10, 100)
BITS = (1, 8, 16)
Setting = tuple[float, int]  # the share of coordinates that is kept, and the values of a sketch
Column = tuple[int, float]  # a depth, and the share of the corpus that are candidates


@dataclass(kw_only=True)
class Scores:
    """What the pass gave: exact influences [Q, N], sketches of queries and sequences by setting, baselines' scores."""

    exact: np.ndarray
    queries: dict[Setting, np.ndarray] = field(default_factory=dict)
    sequences: dict[Setting, np.ndarray] = field(default_factory=dict)
    segments: dict[Setting, Any] = field(default_factory=dict)
    baselines: dict[str, np.ndarray] = field(default_factory=dict)


def possible_columns(shares: Sequence[float], sequences: int) -> list[Column]:
    """Return the pairs of depth and share with at least as many candidates as the depth: others could not reach 1."""
    return [(depth, share) for depth in DEPTHS for share in shares if round(share * sequences) >= depth]


def setting_name(setting: Setting, bits: int) -> str:
    return f"{bits} bit, {setting[1]} values, {setting[0]:.0%} kept"


def found(exact: np.ndarray, estimates: np.ndarray, depth: int, share: float) -> list[float]:
    """Return for each query which share of the exact top ``depth`` is among the candidates."""
    count = max(1, round(share * exact.shape[1]))
    found = []
    for truth, guess in zip(exact, estimates, strict=True):
        top = set(np.argsort(-truth, kind="stable")[:depth].tolist())
        found.append(len(top & set(np.argsort(-guess, kind="stable")[:count].tolist())) / depth)
    return found


def searched(scores: Scores, setting: Setting, bits: int) -> tuple[np.ndarray, Any]:
    """Return the index's estimates [Q, N], and a function to the standard errors of a query's at some positions."""
    segments = scores.segments[setting]
    codes, scales = encode(scores.sequences[setting].astype(np.float32), segments, bits)
    info = IndexedShard(name="s", first_position=0, sequences=len(codes))
    rows = ShardRows(info=info, codes=codes, scales=scales, self_influence=scales[:, 0])
    searcher = Searcher({"s": rows}, segments)
    sketches = scores.queries[setting]
    return searcher.estimate(sketches, "s"), lambda query, positions: searcher.errors(sketches[query], positions)


def evaluate(scores: Scores, columns: Sequence[Column]) -> dict[str, dict[Column, float]]:
    """Return the mean recall of every setting and baseline."""
    by_setting = {
        setting_name(setting, bits): searched(scores, setting, bits)[0] for setting in scores.sequences for bits in BITS
    }
    return {
        name: {column: float(np.mean(found(scores.exact, estimates, *column))) for column in columns}
        for name, estimates in (by_setting | scores.baselines).items()
    }


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """One query's recall, predicted and true."""

    setting: Setting
    column: Column
    predicted: float
    true: float


def calibrate(scores: Scores, columns: Sequence[Column]) -> list[Predicted]:
    """Return what answers would have said of their recall, for every setting of one bit, column and query."""
    results = []
    for setting in scores.sequences:
        estimates, errors_of = searched(scores, setting, 1)
        for column in columns:
            depth, share = column
            for query, true in enumerate(found(scores.exact, estimates, depth, share)):
                order = np.argsort(-estimates[query], kind="stable")[: round(share * scores.exact.shape[1])]
                known = zip(
                    estimates[query, order].tolist(),
                    errors_of(query, order).tolist(),
                    scores.exact[query, order].tolist(),
                    strict=True,
                )
                pairs = [Pair(estimate=e, error=error, influence=x) for e, error, x in known]
                recall = estimate_recall(pairs, cut=pairs[-1].estimate, k=depth)
                results.append(Predicted(setting=setting, column=column, predicted=recall.recall, true=true))
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


def show(recalls: dict[str, dict[Column, float]], columns: Sequence[Column]) -> None:
    print(f"{'':36}" + " ".join(f"{depth}@{share:.1%}".rjust(9) for depth, share in columns))
    for name, values in recalls.items():
        print(f"{name:36}" + " ".join(f"{values[column]:9.3f}" for column in columns))


def write_json(path: Path, recalls: dict[str, dict[Column, float]]) -> None:
    table = {name: {f"{d}@{s}": v for (d, s), v in values.items()} for name, values in recalls.items()}
    path.write_text(json.dumps(table, indent=1) + "\n")


def plot(path: Path, scores: Scores, recalls: dict[str, dict[Column, float]], share: float, calibration: Any) -> None:
    """Draw recall against bytes with this share of the corpus as candidates, and predicted against true recall."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "whence"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4))
    for axis, depth in zip(axes, DEPTHS, strict=False):
        if any((depth, share) not in values for values in recalls.values()):
            continue
        for bits in BITS:
            for kept in (0.1, 0.5, 1.0):
                settings = [setting for setting in scores.sequences if setting[0] == kept]
                held = [(s[1] * bits / 8, recalls[setting_name(s, bits)][depth, share]) for s in settings]
                if held:
                    axis.plot(*zip(*held, strict=True), marker="o", label=f"{bits} bit, {kept:.0%} kept")
        for name in scores.baselines:
            axis.axhline(recalls[name][depth, share], linestyle=":", linewidth=1, color="gray")
            axis.text(500, recalls[name][depth, share], name, fontsize=7, va="bottom")
        axis.set(xscale="log", xlabel="bytes a sequence", ylabel=f"recall@{depth}, candidates {share * 100:g} %")
        axis.set(ylim=(0, 1.02))
    axes[0].legend(fontsize=7)
    bins = binned(calibration)
    axes[2].plot([0, 1], [0, 1], color="gray", linewidth=1)
    axes[2].scatter([b[0] for b in bins], [b[1] for b in bins], s=[10 + b[2] / 5 for b in bins])
    axes[2].set(xlabel="predicted recall", ylabel="true recall", xlim=(0, 1.02), ylim=(0, 1.02))
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
