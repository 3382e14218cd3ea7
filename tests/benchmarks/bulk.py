"""Thousands of queries by `whence attribute --queries`, killed half-way and resumed, against the fake engine.

    python tests/benchmarks/bulk.py [--queries 10000]

The command runs as a process of its own and is killed with SIGKILL at a third of the queries; the same command then
ends the rest. Each query has words of its own, so that none is answered from the cache of another. The last line says
how many queries a second were answered, what the process weighs when a tenth of the
queries is answered and at most until the end, and how many queries are missing from the table or are in it twice.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from measure import print_figures, print_machine

from e2e.harness import environment, launcher, make_artefacts

MEBIBYTE = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--top-k", type=int, default=5)
    arguments = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name, launcher(Path(name)) as starting:
        folder = Path(name)
        artefacts = make_artefacts(folder / "artefacts")
        worker = starting.worker(artefacts)
        front = starting.front(worker)
        for process in (worker, front):
            process.wait_for("serving")
        asked = folder / "queries.jsonl"
        asked.write_text(
            "".join(
                json.dumps({"id": f"q{n}", "prompt": f"the lamp {n % 97}", "completion": f" of the owl {n}"}) + "\n"
                for n in range(arguments.queries)
            )
        )
        out = folder / "hits.parquet"
        command = [
            sys.executable, "-m", "whence", "attribute", "--queries", str(asked), "--out", str(out), "--server",
            front.address, "-k", str(arguments.top_k), "--no-layers", "--json",
        ]  # fmt: skip
        journal = folder / "hits.parquet.journal"
        began = time.monotonic()
        _, early = run(command, journal, until=arguments.queries // 3, weigh_at=arguments.queries // 10)
        killed = answered(journal)
        done, late = run(command, journal)
        seconds = time.monotonic() - began
        report = json.loads(done)
        rows = pq.read_table(out, columns=["query_id"]).column("query_id").to_pylist()
        print(f"answered at the kill: {killed:,}; resumed from: {report['resumed']:,}; hits: {report['hits']:,}")
        print_figures(
            queries_per_s=arguments.queries / seconds,
            mebibytes_at_a_tenth=early,
            mebibytes_at_most=late,
            missing=arguments.queries - len(set(rows)),
            repeated=len(rows) - arguments.queries * arguments.top_k,
        )


def run(command: list[str], journal: Path, *, until: int = 0, weigh_at: int = 0) -> tuple[str, float]:
    """Run the command to its end, or kill it once so many are answered.

    Return its output and its memory in MiB, when ``weigh_at`` are answered, or the most until the end.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment({}, None))
    weighed, weight = psutil.Process(process.pid), 0.0
    while process.poll() is None:
        time.sleep(0.2)
        done = answered(journal) if until else 0
        if not weight or done < weigh_at or not weigh_at:
            with contextlib.suppress(psutil.Error):
                weight = max(weight, weighed.memory_info().rss / MEBIBYTE)
        if until and done >= until:
            process.kill()
    output, _ = process.communicate()
    return output, weight


def answered(journal: Path) -> int:
    """Count the queries that a journal has."""
    if not journal.exists():
        return 0
    with journal.open("rb") as file:
        return sum(b'"rows"' in line for line in file)


if __name__ == "__main__":
    main()
