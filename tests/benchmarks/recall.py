"""What the index finds: recall of the exact top 10 and top 100 after re-ranking, against exact scores of all.

    python tests/benchmarks/recall.py [--model tiny|smollm2] [--folder DIR] [--plots docs/figures]

``tiny`` is a model of the demo's shape trained on the source of Python's library (tests/benchmarks/realtext.py) with
20,000 sequences of 128 tokens; ``smollm2`` the real model on 1,000 sequences of 64 tokens of the same text, which takes
9 GB of memory. Queries are the last 32 tokens of held-out sequences after those before. A sequence counts as found
where it is among the candidates, since these are scored exactly; in two rounds the second half of the candidates is
chosen when the influences of the first half are known, as the service does it. One pass over the corpus computes the
exact influences and every index at once; bits x bytes x candidates are compared from there, and, at the bytes of the
default: random and PCA projections of both sides with the projected Fisher matrix (LoGra, Choe et al. 2024), a random
projection of the normalized gradient with unit norm (TrackStar, Chang et al. 2024), and BM25 on the texts.
``--bergson`` adds what the library of that name finds (tests/benchmarks/recall_bergson.py).

Depths that are more than the candidates of a share are left out: 10 sequences cannot hold the top 100.

The last line is of the default setting, in two rounds, at candidates of 2 % of the corpus, or 20 % for smollm2.
predicted_recall10 is the answer's own estimate, averaged over queries; calibration_error the mean absolute difference
of prediction and truth, in bins of a tenth, over all settings of one bit in two rounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from measure import print_figures, print_machine
from recall_baselines import bm25
from recall_evaluation import (
    Predicted,
    Scores,
    Setting,
    calibration_error,
    evaluate,
    keep_scores,
    kept_scores,
    plot,
    possible_columns,
    setting_name,
    show,
    show_calibration,
    write_json,
)
from recall_pass import PassOptions, score_corpus
from recall_workload import Workload, smollm2, tiny

DEFAULT_BYTES = 2004


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What is measured of a model, unless the command line says else.

    ``default`` is what an index of the model has by default, and ``share`` of candidates what the last line is of.
    """

    default: Setting
    workload: Callable[[Path, int, int], Workload]
    settings: tuple[Setting, ...]
    shares: tuple[float, ...]
    share: float
    sequences: int
    queries: int
    batch_tokens: int
    fit_sequences: int
    moment_sequences: int


PRESETS = {
    "tiny": Preset(
        default=(0.5, 15872),
        workload=tiny,
        settings=(
            *((kept, width) for width in (3584, 7680) for kept in (0.1, 0.5, 1.0)),
            *((kept, 15872) for kept in (0.05, 0.1, 0.25, 0.5, 1.0)),
            *((kept, 31744) for kept in (0.1, 0.5, 1.0)),
        ),
        shares=(0.005, 0.01, 0.02, 0.05),
        share=0.02,
        sequences=20_000,
        queries=24,
        batch_tokens=4096,
        fit_sequences=4000,
        moment_sequences=256,
    ),
    # A query takes 320 MB, a setting 12 bytes a kept coordinate of 80 million.
    "smollm2": Preset(
        default=(0.01, 15872),
        workload=smollm2,
        settings=(
            *((kept, 15872) for kept in (0.01, 0.02, 0.05, 0.1, 0.5)),
            *((kept, 31744) for kept in (0.05, 0.1, 0.5)),
        ),
        shares=(0.01, 0.02, 0.05, 0.1, 0.2, 0.4),
        share=0.2,
        sequences=1000,
        queries=8,
        batch_tokens=1024,
        fit_sequences=128,
        moment_sequences=32,
    ),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=PRESETS, default="tiny")
    parser.add_argument("--sequences", type=int, help="20000, or 1000 for smollm2")
    parser.add_argument("--queries", type=int, help="24, or 8 for smollm2")
    parser.add_argument("--batch-tokens", type=int, help="4096, or 1024 for smollm2")
    parser.add_argument("--fit-sequences", type=int, help="4000, or 128 for smollm2")
    parser.add_argument(
        "--folder", type=Path, help="keep model, factors and the scores of the pass here, and use what is there"
    )
    parser.add_argument(
        "--bergson", type=Path, help="scores of bergson, which tests/benchmarks/recall_bergson.py writes"
    )
    parser.add_argument("--plots", type=Path, help="write the plots into this folder (needs matplotlib)")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    preset = PRESETS[options.model]
    print_machine()
    with tempfile.TemporaryDirectory() as temporary:
        scores = measure(options, preset, options.folder or Path(temporary))
    columns = possible_columns(preset.shares, scores.exact.shape[1])
    recalls, calibration = evaluate(scores, columns)
    show(recalls, columns)
    show_calibration(calibration)
    if options.plots:
        options.plots.mkdir(parents=True, exist_ok=True)
        write_json(options.plots / f"recall-{options.model}.json", recalls)
        figure = options.plots / f"recall-{options.model}.svg"
        plot(figure, scores, recalls, preset.default, preset.share, calibration)
    print_figures(**last_line(scores, recalls[setting_name(preset.default, 1, rounds=2)], calibration, preset))


def measure(options: argparse.Namespace, preset: Preset, folder: Path) -> Scores:
    folder.mkdir(parents=True, exist_ok=True)
    workload = preset.workload(folder, options.sequences or preset.sequences, options.queries or preset.queries)
    pass_options = PassOptions(
        settings=preset.settings,
        batch_tokens=options.batch_tokens or preset.batch_tokens,
        fit_sequences=options.fit_sequences or preset.fit_sequences,
        moment_sequences=preset.moment_sequences,
        baseline_bytes=DEFAULT_BYTES,
    )
    name = f"{options.model}-{len(workload.corpus)}"
    kept, asked = folder / f"scores-{name}.pickle", repr((pass_options, len(workload.queries)))
    scores = kept_scores(kept, asked)
    if scores is None:
        scores = score_corpus(workload, folder / f"factors-{name}", pass_options)
        keep_scores(kept, asked, scores)
    scores.baselines["BM25"] = bm25(workload.texts, workload.query_texts)
    if options.bergson:
        scores.baselines.update(read_scores(options.bergson, scores.exact.shape))
    return scores


def read_scores(path: Path, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    found = dict(np.load(path))
    for name, values in found.items():
        if values.shape != shape:
            raise SystemExit(f"{path}: {name} has the scores of {values.shape} queries and sequences, not of {shape}")
    return found


def last_line(
    scores: Scores, recalls: dict[tuple[int, float], float], calibration: list[Predicted], preset: Preset
) -> dict[str, float]:
    default, share = preset.default, preset.share
    predicted = [one.predicted for one in calibration if (one.setting, one.column) == (default, (10, share))]
    return {
        **{f"recall{depth}": value for (depth, of), value in recalls.items() if of == share},
        "bytes_per_sequence": default[1] // 8 + 4 * len(scores.segments[default]) + 4,
        "candidates_share": share,
        "sequences": scores.exact.shape[1],
        "predicted_recall10": float(np.mean(predicted)),
        "calibration_error": calibration_error(calibration),
    }


if __name__ == "__main__":
    main()
