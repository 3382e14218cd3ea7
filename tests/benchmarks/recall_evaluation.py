"""From the scores of a pass to figures: recall of every setting and baseline, calibration, table and plots."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from whence_backends.index.codes import Encoded, encode
from whence_backends.index.refine import refine
from whence_backends.index.search import Searcher
from whence_backends.index.storage import IndexedShard, ShardRows
from whence_service.frontend.search.candidates import Candidate, Candidates
from whence_service.frontend.search.recall import recall_of
from whence_service.frontend.search.refinement import first_round, second_round

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


def keep_scores(path: Path, asked: str, scores: Scores) -> None:
    """Write the scores of a pass that was asked for in these words."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        pickle.dump((asked, scores), file, protocol=5)
    partial.replace(path)


def kept_scores(path: Path, asked: str) -> Scores | None:
    """Return the scores that :func:`keep_scores` wrote for the same arguments. Only read your own files."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        of, scores = pickle.load(file)
    return scores if of == asked else None


def possible_columns(shares: Sequence[float], sequences: int) -> list[Column]:
    """Return the pairs of depth and share with at least as many candidates as the depth: others could not reach 1."""
    return [(depth, share) for depth in DEPTHS for share in shares if round(share * sequences) >= depth]


def setting_name(setting: Setting, bits: int, rounds: int = 1) -> str:
    return f"{bits} bit, {setting[1]} values, {setting[0]:.0%} kept" + (", two rounds" if rounds == 2 else "")


class Indexed:
    """An index of one setting, asked as the service asks it."""

    def __init__(self, scores: Scores, setting: Setting, bits: int) -> None:
        self.scores, self.segments = scores, scores.segments[setting]
        self.sketches = scores.queries[setting]
        self.rows = encode(scores.sequences[setting].astype(np.float32), self.segments, bits)
        self.sequences = len(self.rows.codes)
        info = IndexedShard(name="s", first_position=0, sequences=self.sequences)
        shard = ShardRows(
            info=info, codes=self.rows.codes, scales=self.rows.scales, self_influence=self.rows.scales[:, 0]
        )
        self.searcher = Searcher({"s": shard}, self.segments)
        self.estimates = self.searcher.estimate(self.sketches, "s")

    def one_round(self, query: int, count: int) -> Candidates:
        """Return the candidates of a query."""
        return self._best(self.sketches[query], self.estimates[query], count)

    def two_rounds(self, query: int, count: int) -> Candidates:
        """Return the candidates of a query, half of which were chosen when the influences of the others were known."""
        proposals = self.one_round(query, count)
        first = first_round(proposals, self.sequences)
        if first == proposals:
            return proposals
        known, better = self.learned(query, [one.position for one in first.positive], count)
        return second_round(proposals, first, better, known)

    def learned(self, query: int, scored: Sequence[int], count: int) -> tuple[dict[int, Candidate], Candidates]:
        """Return what is known of scored positions, and the candidates of the sketch that their influences teach."""
        known = np.array(scored)
        rows = Encoded(self.rows.codes[known], self.rows.scales[known])
        refined = refine(self.sketches[query], rows, self.scores.exact[query, known], self.segments)
        now = proposed(known, refined.estimates, refined.errors)
        estimates = self.searcher.estimate(refined.sketch[None], "s")[0]
        return {one.position: one for one in now}, self._best(refined.sketch, estimates, count)

    def _best(self, sketch: np.ndarray, estimates: np.ndarray, count: int) -> Candidates:
        best = np.argsort(-estimates, kind="stable")[:count]
        return Candidates(positive=proposed(best, estimates[best], self.searcher.errors(sketch, best)))


def proposed(positions: np.ndarray, estimates: np.ndarray, errors: np.ndarray) -> tuple[Candidate, ...]:
    known = zip(positions.tolist(), estimates.tolist(), errors.tolist(), strict=True)
    return tuple(Candidate(position=position, estimate=estimate, error=error) for position, estimate, error in known)


def by_scores(scores: np.ndarray) -> Callable[[int, int], Candidates]:
    """Return a function that proposes the sequences with the largest scores [Q, N] of a baseline."""

    def propose(query: int, count: int) -> Candidates:
        best = np.argsort(-scores[query], kind="stable")[:count]
        return Candidates(positive=proposed(best, scores[query, best], np.zeros(len(best))))

    return propose


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """One query's recall, predicted and true."""

    setting: Setting
    column: Column
    predicted: float
    true: float


Recalls = dict[str, dict[Column, float]]


def evaluate(scores: Scores, columns: Sequence[Column]) -> tuple[Recalls, list[Predicted]]:
    """Return the mean recall of every setting and baseline, and what answers of one bit would have said of theirs."""
    orders = [np.argsort(-exact, kind="stable").tolist() for exact in scores.exact]
    recalls: Recalls = {}
    calibration: list[Predicted] = []

    def add(name: str, propose: Callable[[int, int], Candidates], of: Setting | None = None) -> None:
        by_column: dict[Column, list[float]] = {column: [] for column in columns}
        for share in dict.fromkeys(share for _, share in columns):
            for query, exact in enumerate(scores.exact):
                proposals = propose(query, round(share * len(exact))).positive
                candidates = {one.position for one in proposals}
                for depth in (depth for depth, other in columns if other == share):
                    true = len(candidates.intersection(orders[query][:depth])) / depth
                    by_column[depth, share].append(true)
                    if of is not None:
                        known = {position: float(exact[position]) for position in candidates}
                        told = recall_of(proposals, known, depth, len(exact), sign=1)
                        calibration.append(
                            Predicted(setting=of, column=(depth, share), predicted=told.recall, true=true)
                        )
        recalls[name] = {column: float(np.mean(values)) for column, values in by_column.items()}

    for setting in scores.sequences:
        for bits in BITS:
            index = Indexed(scores, setting, bits)
            add(setting_name(setting, bits), index.one_round)
            if bits == 1:
                add(setting_name(setting, bits, rounds=2), index.two_rounds, setting)
    for name, baseline in scores.baselines.items():
        add(name, by_scores(baseline))
    return recalls, calibration


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


def show(recalls: Recalls, columns: Sequence[Column]) -> None:
    print(f"{'':42}" + " ".join(f"{depth}@{share:.1%}".rjust(9) for depth, share in columns))
    for name, values in recalls.items():
        print(f"{name:42}" + " ".join(f"{values[column]:9.3f}" for column in columns))


def show_calibration(calibration: Sequence[Predicted]) -> None:
    print("predicted  " + " ".join(f"{predicted:6.2f}" for predicted, _, _ in binned(calibration)))
    print("true       " + " ".join(f"{true:6.2f}" for _, true, _ in binned(calibration)))
    print("answers    " + " ".join(f"{count:6d}" for *_, count in binned(calibration)))


def write_json(path: Path, recalls: Recalls) -> None:
    table = {name: {f"{d}@{s}": v for (d, s), v in values.items()} for name, values in recalls.items()}
    path.write_text(json.dumps(table, indent=1) + "\n")


def plot(
    path: Path, scores: Scores, recalls: Recalls, default: Setting, share: float, calibration: Sequence[Predicted]
) -> None:
    """Draw recall against bytes with this share of the corpus as candidates, and predicted against true recall."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "whence"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4))
    for axis, depth in zip(axes, DEPTHS, strict=False):
        if any((depth, share) not in values for values in recalls.values()):
            continue
        for bits, rounds in (*((bits, 1) for bits in BITS), (1, 2)):
            for kept in sorted({0.1, 0.5, 1.0, default[0]}) if rounds == 1 else (default[0],):
                settings = [setting for setting in scores.sequences if setting[0] == kept]
                held = [(s[1] * bits / 8, recalls[setting_name(s, bits, rounds)][depth, share]) for s in settings]
                if held:
                    label = f"{bits} bit, {kept:.0%} kept" + (", two rounds" if rounds == 2 else "")
                    axis.plot(*zip(*held, strict=True), marker="o", label=label)
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
