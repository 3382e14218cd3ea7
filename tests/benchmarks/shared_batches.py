"""Re-ranks that are under way together: with shared batches against one after the other's, over gRPC.

    python tests/benchmarks/shared_batches.py [--folder DIR] [--calls 8]

Client, front end and worker are processes of their own; the worker has the model that tests/benchmarks/realtext.py
trains, and the index of its text. As many calls as are given are sent at once, each with the default's share of
candidates, 2 %: once on held-out sequences that have nothing to do with each other, and once on one sequence, of whose
last tokens each call measures another part, as an evaluation does that attributes every answer of a conversation. The
gradients are cached before. shared_over_apart is the time of all calls with shared batches over that without, related_
for the calls that have something to do with each other; scored_share how many sequences went through the engine of
those that were asked for.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from measure import print_figures, print_machine
from realtext import TOKENS, make_artefacts, prepare

from e2e.harness import Artefacts, Process, launcher
from whence import Client, Query

COMPLETION = 32


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="keep the model here, and use what is there")
    parser.add_argument("--sequences", type=int, default=4000)
    parser.add_argument("--calls", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    print_machine()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        text = prepare(options.folder or folder / "text", sequences=20_000)
        artefacts = make_artefacts(text, folder, options.sequences)
        apart = [whole(ids) for ids in text.held_out[: options.calls]]
        related = [part(text.held_out[0], number, options.calls) for number in range(options.calls)]
        figures: dict[tuple[str, bool], tuple[float, float]] = {}
        for share in (False, True):
            for name, queries in (("unrelated", apart), ("related", related)):
                figures[name, share] = measure(artefacts, folder, queries, options, share=share)
    print(f"# {options.calls} calls at once, {options.sequences // 50} candidates of {options.sequences}, float32")
    for (name, share), (seconds, scored) in figures.items():
        print(f"{name:10} {'shared' if share else 'apart':7} {seconds:7.2f} s, {scored:5.0%} of the candidates scored")
    print_figures(
        shared_over_apart=figures["unrelated", True][0] / figures["unrelated", False][0],
        related_shared_over_apart=figures["related", True][0] / figures["related", False][0],
        scored_share=figures["unrelated", True][1],
        related_scored_share=figures["related", True][1],
    )


def measure(
    artefacts: Artefacts, folder: Path, queries: Sequence[Query], options: argparse.Namespace, *, share: bool
) -> tuple[float, float]:
    """Return the seconds of all calls, the best of a few times, and the share of their candidates that was scored."""
    with launcher(folder) as launch:
        settings = {
            "WHENCE_WORKER_BATCH_TOKENS": "4096",
            "WHENCE_WORKER_DRAIN_S": "0",
            "WHENCE_WORKER_MAX_RUNNING": str(2 * len(queries)),
            "WHENCE_WORKER_SHARE_BATCHES": str(share).lower(),
            "OMP_NUM_THREADS": str(os.cpu_count()),
        }
        worker = launch.start(
            ("worker", *artefacts.options(), "--name", "tiny", "--address", "127.0.0.1:0"), settings, path=None
        )
        worker.wait_for("serving")
        front = launch.front(worker, MAX_RUNNING=str(2 * len(queries)))
        front.wait_for("serving")
        candidates = options.sequences // 50
        with Client(front.address, timeout_s=3600, retry=None) as client, ThreadPoolExecutor(len(queries)) as executor:

            def ask(query: Query) -> None:
                client.attribute(query, top_k=10, candidates=candidates)

            for query in queries:
                ask(query)
            before, seconds = scored(worker), []
            for _ in range(options.repeats):
                started = time.perf_counter()
                list(executor.map(ask, queries))
                seconds.append(time.perf_counter() - started)
            wanted = options.repeats * len(queries) * candidates
            return min(seconds), (scored(worker) - before) / wanted


def scored(worker: Process) -> float:
    return worker.metrics().value("whence_sequences_scored_total")


def whole(ids: np.ndarray) -> Query:
    return Query.tokens(ids.tolist(), completion_start=TOKENS - COMPLETION)


def part(ids: np.ndarray, number: int, parts: int) -> Query:
    """Return the query of one of the parts of the sequence's end."""
    end = TOKENS - COMPLETION + (number + 1) * COMPLETION // parts
    return Query.tokens(ids[:end].tolist(), completion_start=end - COMPLETION // parts)


if __name__ == "__main__":
    main()
