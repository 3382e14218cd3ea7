"""One attributed query over gRPC: cold and warm, with the index, by a full scan, and kronfluence's scores of it.

    python tests/benchmarks/query_latency.py [--sequences 2000] [--candidates 40] [--folder DIR]

Client, front end and worker are processes of their own on the loopback interface; the worker has the pytorch engine,
the model that tests/benchmarks/realtext.py trains, its factors and the index of its text. Each cold query is one that
the service has not seen; warm ones have their gradient, their sketch and their preconditioned form at hand.
kronfluence computes the pairwise scores of one query with the same sequences, in this process, on factors of its own,
whose fitting is not counted. All have the machine to themselves in turn. Candidates are 2 % of the corpus.

cold_ms and warm_p50_ms are with the index; index_vs_scan and index_vs_kronfluence are their cold times over ours.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from measure import print_figures, print_machine
from realtext import TOKENS, RealText, make_artefacts, prepare

from e2e.harness import Artefacts, launcher
from whence import Client, Query

COMPLETION = 32


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=2000)
    parser.add_argument("--candidates", type=int, help="scored exactly; 2 %% of the sequences")
    parser.add_argument("--queries", type=int, default=10, help="cold and warm calls with the index")
    parser.add_argument("--scans", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep the model here, and use what is there")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    print_machine()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        text = prepare(options.folder or folder / "text", sequences=20_000)
        artefacts = make_artefacts(text, folder, options.sequences)
        candidates = options.candidates or options.sequences // 50
        queries = [query(ids) for ids in text.held_out]
        with launcher(folder) as launch:
            settings = {
                "WHENCE_WORKER_BATCH_TOKENS": "4096",
                "WHENCE_WORKER_DRAIN_S": "0",
                "OMP_NUM_THREADS": str(os.cpu_count()),  # as many as kronfluence has; the tests' processes have one
            }
            worker = launch.start(
                ("worker", *artefacts.options(), "--name", "tiny", "--address", "127.0.0.1:0"), settings, path=None
            )
            worker.wait_for("serving")
            front = launch.front(worker)
            front.wait_for("serving")
            with Client(front.address, timeout_s=3600, retry=None) as client:
                client.attribute(queries[0], candidates=candidates)  # the first call compiles and connects
                cold = times(client, queries[1 : options.queries + 1], candidates=candidates)
                warm = times(client, queries[1 : options.queries + 1], candidates=candidates)
                scans = times(client, queries[-options.scans :], search="full_scan")
                answer = client.attribute(queries[1], candidates=candidates)
        theirs = kronfluence_s(text, artefacts, folder, options.sequences)
    print(f"# {options.sequences} sequences of {TOKENS} tokens, {candidates} candidates, float32")
    stages = ", ".join(f"{stage} {1000 * seconds:.0f}" for stage, seconds in answer.timings.items())
    print(f"# a warm query, ms by stage: {stages}")
    for name, seconds in (("index, cold", cold), ("index, warm", warm), ("full scan", scans), ("kronfluence", theirs)):
        print(f"{name:12} p50 {np.median(seconds) * 1000:10.1f} ms  of {len(seconds)}")
    print_figures(
        cold_ms=float(np.median(cold)) * 1000,
        warm_p50_ms=float(np.median(warm)) * 1000,
        index_vs_scan=float(np.median(scans) / np.median(cold)),
        index_vs_kronfluence=float(np.median(theirs) / np.median(cold)),
    )


def query(ids: np.ndarray) -> Query:
    return Query.tokens(ids.tolist(), completion_start=TOKENS - COMPLETION)


def times(client: Client, queries: Sequence[Query], **options: object) -> list[float]:
    seconds = []
    for one in queries:
        started = time.perf_counter()
        client.attribute(one, top_k=10, **options)  # type: ignore[arg-type]
        seconds.append(time.perf_counter() - started)
    return seconds


def kronfluence_s(text: RealText, artefacts: Artefacts, folder: Path, count: int) -> list[float]:
    """Return the seconds of kronfluence's pairwise scores of one query."""
    import torch
    from transformers import AutoModelForCausalLM

    from kronfluence_oracle import Kronfluence
    from whence_backends.contract import TokenSequence
    from whence_backends.ekfac.factors import Factors

    weights, asked = np.ones(TOKENS, np.float32), np.zeros(TOKENS, np.float32)
    weights[0] = 0
    asked[-COMPLETION:] = 1
    layers = [layer.name for layer in Factors.open(artefacts.factors).card.layers]
    train = [TokenSequence(token_ids=ids, weights=weights) for ids in text.corpus[:count]]

    def analysis(items: list[TokenSequence]) -> Kronfluence:
        model = AutoModelForCausalLM.from_pretrained(text.model, dtype=torch.float32).eval()  # it wraps the modules
        return Kronfluence(
            model=model, layers=layers, train=items,
            queries=[TokenSequence(token_ids=text.held_out[1], weights=asked)],
            folder=folder / "kronfluence", empirical=True, dtype=torch.float32, batch_size=32,
        )  # fmt: skip

    analysis(train[:256]).fit()
    scoring = analysis(train)
    started = time.perf_counter()
    scoring.scores()
    return [time.perf_counter() - started]


if __name__ == "__main__":
    main()
