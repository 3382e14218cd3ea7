"""Building the index against what its engine needs for gradients alone, on the same sequences, in one run.

    python tests/benchmarks/index_build.py [--width 256 --depth 4 --sequences 256 --tokens 128]

The model is Llama-shaped with random weights; the corpus random tokens. Three things take turns: forward and backward,
with the traces of the tracked layers thrown away; the gradient pass, which also multiplies them to each sequence's
gradients G = sᵀ a, as anything that stores gradients must; and `build_index`, which rotates and whitens those, folds
them, and writes the codes. Each figure is the best of --repeats. index_over_gradient_pass and
index_over_forward_backward are its time over theirs, better near 1.
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
from workload import random_llama, random_tokens

from whence_backends.batching import plan_batches
from whence_backends.contract import EngineConfig, TokenSequence
from whence_backends.ekfac.batch import collate
from whence_backends.engines import load_engine
from whence_backends.fit import FitConfig, fit
from whence_backends.index import IndexConfig, build_index


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=32000)
    parser.add_argument("--sequences", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    from data import InMemory
    from index.indexed import Sharded

    options = arguments()
    print_machine()
    tokens = random_tokens(sequences=options.sequences, tokens=options.tokens, vocabulary=options.vocabulary)
    weights = np.ones(options.tokens, np.float32)
    weights[0] = 0
    items = [TokenSequence(token_ids=ids, weights=weights) for ids in tokens]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shape = {"width": options.width, "depth": options.depth, "vocabulary": options.vocabulary}
        model = str(random_llama(folder / "model", **shape, tokens=options.tokens))
        factors = fit(
            FitConfig(model=model, out=folder / "factors", max_sequences=16, device=options.device), InMemory(items)
        )
        config = EngineConfig(model=model, factors=factors.folder, device=options.device)
        engine: Any = load_engine("pytorch", config)
        planned = plan_batches([options.tokens] * len(items), options.batch_tokens)
        batches = [[items[i] for i in batch] for batch in planned]
        source = Sharded(items, [len(items)])
        number = 0

        def index() -> None:
            nonlocal number
            number += 1
            config = IndexConfig(model=model, out=folder / f"index-{number}", batch_tokens=options.batch_tokens)
            build_index(config, engine, factors, source)

        def plan_alone() -> None:
            engine_free = Sharded(items[:1], [1])
            nonlocal number
            number += 1
            config = IndexConfig(model=model, out=folder / f"index-{number}", batch_tokens=options.batch_tokens)
            build_index(config, engine, factors, engine_free)

        works = {
            "forward, backward": lambda: passes(engine, batches, lambda _i, _a, _s: None),
            "gradient pass": lambda: passes(engine, batches, lambda _i, a, s: s.transpose(1, 2) @ a),
            "build_index": index,
            "build_index of one": plan_alone,
        }
        seconds = in_turns(works, options.repeats)
    total = options.sequences * options.tokens
    print(f"# {total} tokens in sequences of {options.tokens}, batches of {options.batch_tokens}, float32")
    for name, took in seconds.items():
        print(f"{name:20} {took:8.3f} s {options.sequences / took:9.1f} sequences/s {total / took:10.0f} tokens/s")
    # What it costs to plan and to write the folds is paid once, whatever the corpus: it is not of this one.
    per_corpus = seconds["build_index"] - seconds["build_index of one"]
    print_figures(
        index_over_gradient_pass=per_corpus / seconds["gradient pass"],
        index_over_forward_backward=per_corpus / seconds["forward, backward"],
        plan_s=seconds["build_index of one"],
        index_tokens_per_s=total / per_corpus,
    )


def passes(engine: Any, batches: list[list[TokenSequence]], consume: Callable[[int, Any, Any], Any]) -> None:
    for batch in batches:
        collated = collate(batch, engine._model.device)
        engine._model.trace(collated, engine._model.data_targets(collated), consume)


def in_turns(works: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    best = dict.fromkeys(works, float("inf"))
    for _ in range(repeats + 1):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - started)
    return best


if __name__ == "__main__":
    main()
